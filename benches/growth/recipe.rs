//! Statistics of a real collection that `synth.rs` generates others from: the cluster of each token, the mean of each
//! cluster, and the passages nearest to each passage.
//!
//! They are computed once in a separate process and kept, so that k-means does not count in the peak memory of a build.
//! Embeddings stay on disk and are read row by row: the page cache does not count in the peak of a process either.

use crate::error::{Error, Result};
use crate::made_up::{self, write_counts};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use selvedge::npy::{NpyFloats, NpyWriter, read_lens};
use selvedge::source::{ArraySource, Source};
use selvedge_backend::Cpu;
use selvedge_codec::{Codec, CodecKind, TrainOptions, train};
use std::path::{Path, PathBuf};

/// Numbers of clusters and of tokens sampled for k-means.
const CLUSTERS: usize = 2048;
const SAMPLE: usize = 60_000;
/// Number of nearest passages kept per passage, itself included.
pub const NEAR: usize = 9;
/// Number of passages read at a time.
const BLOCK: usize = 1024;

/// Real collection with its clusters and neighbours.
pub struct Recipe {
    /// File of the embeddings, `(N, D)`.
    pub embeddings: PathBuf,
    pub dim: usize,
    /// First token of each passage, and the number of tokens.
    pub offsets: Vec<usize>,
    /// Cluster of each token.
    pub codes: Vec<u32>,
    /// Tokens sorted by cluster; cluster `c` has `members[starts[c]..starts[c + 1]]`.
    pub members: Vec<u32>,
    pub starts: Vec<usize>,
    /// Mean of each cluster, not normalized: residuals must have zero mean, or a mixture of two is too short.
    pub means: Vec<f32>,
    /// The [`NEAR`] nearest passages of each passage.
    pub near: Vec<u32>,
}

impl Recipe {
    /// Reads the collection in `folder` and the results of [`prepare`] in `kept`.
    pub fn open(folder: &Path, kept: &Path) -> Result<Self> {
        let embeddings = folder.join("docs.f16.npy");
        let offsets = offsets(&read_lens(&folder.join("doclens.i32.npy"))?);
        let codes = read_lens(&kept.join("codes.npy"))?;
        let (expected, found) = (offsets[offsets.len() - 1], codes.len());
        if expected != found {
            return Err(Error::OtherSource { path: kept.join("codes.npy"), found, expected });
        }
        let mut npy = NpyFloats::open(&kept.join("means.npy"))?;
        let (dim, mut means) = (npy.dim(), Vec::new());
        npy.read_rows(0, npy.num_rows(), &mut means)?;
        let (members, starts) = members(&codes, means.len() / dim);
        Ok(Self { embeddings, dim, offsets, codes, members, starts, means, near: read_lens(&kept.join("near.npy"))? })
    }

    /// Returns the mean number of tokens of a passage.
    pub fn mean_len(&self) -> f64 {
        self.codes.len() as f64 / (self.offsets.len() - 1) as f64
    }
}

/// Returns whether `kept` has the results of [`prepare`].
pub fn is_kept(kept: &Path) -> bool {
    kept.join("near.npy").exists()
}

/// Finds clusters and neighbours of the collection in `folder`, and writes them into `kept`.
pub fn prepare(folder: &Path, kept: &Path) -> Result<()> {
    std::fs::create_dir_all(kept).map_err(Error::io(kept))?;
    if folder == kept {
        made_up::write(folder)?;
    }
    let (docs, doclens) = (folder.join("docs.f16.npy"), folder.join("doclens.i32.npy"));
    let backend = Cpu::new()?;
    let codec = clusters(&backend, &docs)?;
    let (dim, num_clusters) = (codec.params.dim, codec.params.num_centroids());
    let mut source = ArraySource::open(&docs, &doclens)?;
    let (mut codes, mut of_passages) = (Vec::new(), Vec::new());
    let (mut means, mut counts) = (vec![0f32; num_clusters * dim], vec![0f32; num_clusters]);
    let compressor = codec.compressor(&backend)?;
    let pids: Vec<u32> = (0..source.num_passages() as u32).collect();
    for pids in pids.chunks(BLOCK) {
        let mut block = source.fetch(pids)?;
        let of_block = compressor.compress(&backend, &mut block.data)?.0;
        for (row, &code) in block.data.chunks_exact(dim).zip(&of_block) {
            counts[code as usize] += 1.0;
            add(&mut means[code as usize * dim..][..dim], row);
        }
        let mut rows = block.data.chunks_exact(dim);
        for &len in &block.lens {
            let mut mean = vec![0f32; dim];
            rows.by_ref().take(len as usize).for_each(|row| add(&mut mean, row));
            let norm = dot(&mean, &mean).sqrt().max(f32::MIN_POSITIVE);
            of_passages.extend(mean.iter().map(|x| x / norm));
        }
        codes.extend(of_block);
    }
    for (mean, count) in means.chunks_exact_mut(dim).zip(&counts) {
        mean.iter_mut().for_each(|x| *x /= count.max(1.0));
    }
    write_counts(&kept.join("codes.npy"), &codes)?;
    let mut npy = NpyWriter::create(&kept.join("means.npy"))?;
    npy.write(&means.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    npy.finish("<f4", &[num_clusters, dim])?;
    // Written last: its existence shows that all three are complete.
    write_counts(&kept.join("near.npy"), &nearest(dim, &of_passages))
}

/// Trains the clusters as the centroids of a codec without residuals and rotation, so that the codec alone decides how
/// embeddings are assigned to centroids.
fn clusters(backend: &Cpu, docs: &Path) -> Result<Codec> {
    let mut npy = NpyFloats::open(docs)?;
    let (dim, num_rows) = (npy.dim(), npy.num_rows());
    if num_rows < CLUSTERS {
        return Err(Error::TooSmall { path: docs.into(), found: num_rows });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut sample = Vec::with_capacity(SAMPLE * dim);
    for _ in 0..SAMPLE.min(num_rows) {
        npy.read_rows(rng.random_range(0..num_rows), 1, &mut sample)?;
    }
    let options = TrainOptions { kind: CodecKind::ColbertV2, iterations: 6, ..TrainOptions::new(0, CLUSTERS) };
    Ok(train(backend, dim, sample, &options, &())?)
}

/// Returns, for each row, the [`NEAR`] rows with the largest inner product, itself included. Time grows with the square
/// of the number of rows: seconds for 16,500, an hour for a million.
fn nearest(dim: usize, rows: &[f32]) -> Vec<u32> {
    let near = |row: &[f32]| {
        let mut scored: Vec<(f32, u32)> = rows.chunks_exact(dim).map(|other| dot(row, other)).zip(0..).collect();
        let take = NEAR.min(scored.len());
        scored.select_nth_unstable_by(take - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        // A collection of fewer passages repeats them, since every passage has NEAR entries.
        (0..NEAR).map(|i| scored[i % take].1).collect::<Vec<u32>>()
    };
    rows.par_chunks_exact(dim).flat_map_iter(near).collect()
}

/// Inner product in eight partial sums, which the compiler can vectorize.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum()
}

fn add(sum: &mut [f32], row: &[f32]) {
    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
}

fn offsets(lens: &[u32]) -> Vec<usize> {
    let ends = lens.iter().scan(0, |end, &len| {
        *end += len as usize;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Sorts tokens by cluster (counting sort); returns them and the first position of each cluster.
fn members(codes: &[u32], num_clusters: usize) -> (Vec<u32>, Vec<usize>) {
    let mut starts = vec![0usize; num_clusters + 1];
    codes.iter().for_each(|&code| starts[code as usize + 1] += 1);
    (0..num_clusters).for_each(|c| starts[c + 1] += starts[c]);
    let (mut next, mut members) = (starts.clone(), vec![0u32; codes.len()]);
    for (token, &code) in codes.iter().enumerate() {
        members[next[code as usize]] = token as u32;
        next[code as usize] += 1;
    }
    (members, starts)
}
