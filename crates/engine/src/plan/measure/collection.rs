//! Synthetic collection: a token's vector is its word's, moved towards the topic of its passage, and noise. Words are
//! as unevenly frequent as in text, so that cells are too.
//!
//! ```text
//! passage  topic t of 4,096; 0.5 to 1.5 times the mean number of tokens, evenly
//! token    word w of 32,768 with Zipf's frequencies; w + 0.6 t + 0.6 noise, at unit length
//! query    the words and the topic of a passage, with other noise
//! ```
//!
//! Bytes and times resemble text; recall does not carry over.

use crate::npy::NpyWriter;
use crate::{Error, Result};
use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::path::Path;

pub(super) const DIM: usize = 128;
const TOPICS: usize = 4096;
const WORDS: usize = 32_768;
/// Numbers of which each token takes a run as noise, from a random place on.
const NOISE: usize = 1 << 20;
const TOPIC_SHARE: f32 = 0.6;
const NOISE_SHARE: f32 = 0.6;
/// Passages that are made at a time.
const BLOCK: usize = 4096;

/// Names of the files: embeddings, tokens per passage, embeddings of queries.
pub(super) const FILES: [&str; 3] = ["docs.npy", "lens.npy", "queries.npy"];

/// Vectors that tokens are made of; components have variance 1 / [`DIM`].
struct Parts {
    words: Vec<f32>,
    topics: Vec<f32>,
    noise: Vec<f32>,
}

/// Writes the files of a collection into `folder`: `passages` of about `tokens` each, f16, and `queries` of
/// `query_tokens` each.
pub(super) fn write(
    folder: &Path,
    (passages, tokens): (u64, usize),
    (queries, query_tokens): (usize, usize),
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let parts = Parts::new();
    let [docs, lens, asked] = FILES.map(|name| folder.join(name));
    let (mut rows, mut counts) = (NpyWriter::create(&docs)?, Vec::with_capacity(passages as usize));
    for first in (0..passages).step_by(BLOCK) {
        let pids: Vec<u64> = (first..passages.min(first + BLOCK as u64)).collect();
        let made: Vec<Vec<u8>> = pids.par_iter().map(|&pid| parts.passage(pid, length(pid, tokens), 0)).collect();
        counts.extend(made.iter().map(|bytes| bytes.len() / (2 * DIM)));
        made.iter().try_for_each(|bytes| rows.write(bytes))?;
    }
    rows.finish("<f2", &[counts.iter().sum(), DIM])?;
    let mut npy = NpyWriter::create(&lens)?;
    npy.write(&counts.iter().flat_map(|&count| (count as u32).to_le_bytes()).collect::<Vec<u8>>())?;
    npy.finish("<i4", &[counts.len()])?;
    let mut npy = NpyWriter::create(&asked)?;
    for query in 0..queries as u64 {
        npy.write(&parts.passage(query * passages / queries as u64, query_tokens, 1))?;
    }
    npy.finish("<f2", &[queries * query_tokens, DIM])
}

/// Number of tokens of a passage.
fn length(pid: u64, mean: usize) -> usize {
    let part = stream(pid, 2).random_range(0.5..1.5);
    ((mean as f64 * part).round() as usize).max(1)
}

/// Random numbers of a passage for one purpose.
fn stream(pid: u64, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(purpose);
    rng.set_stream(pid);
    rng
}

impl Parts {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        // Sums of six uniform numbers are nearly normal, of variance 1/2.
        let scale = (2.0 / DIM as f32).sqrt();
        let mut normals = |count: usize| -> Vec<f32> {
            (0..count).map(|_| scale * (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>()).collect()
        };
        Self { words: normals(WORDS * DIM), topics: normals(TOPICS * DIM), noise: normals(NOISE) }
    }

    /// Rows of the first `count` tokens of a passage, f16; `noise` chooses the noise, and nothing else.
    fn passage(&self, pid: u64, count: usize, noise: u64) -> Vec<u8> {
        let (mut of_words, mut of_noise) = (stream(pid, 3), stream(pid, 4 + noise));
        let topic = row(&self.topics, of_words.random_range(0..TOPICS));
        let mut bytes = Vec::with_capacity(count * DIM * 2);
        for _ in 0..count {
            // The rank of a word is distributed as its logarithm is uniform: Zipf's law.
            let rank = (WORDS as f64).powf(of_words.random::<f64>()) as usize;
            let word = row(&self.words, rank.min(WORDS) - 1);
            let noise = &self.noise[of_noise.random_range(0..NOISE - DIM)..][..DIM];
            let mut token = [0f32; DIM];
            for (((x, word), topic), noise) in token.iter_mut().zip(word).zip(topic).zip(noise) {
                *x = word + TOPIC_SHARE * topic + NOISE_SHARE * noise;
            }
            let norm = token.iter().map(|x| x * x).sum::<f32>().sqrt();
            bytes.extend(token.iter().flat_map(|x| f16::from_f32(x / norm).to_le_bytes()));
        }
        bytes
    }
}

fn row(rows: &[f32], number: usize) -> &[f32] {
    &rows[number * DIM..][..DIM]
}
