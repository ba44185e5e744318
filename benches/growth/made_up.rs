//! Synthetic collection in place of real embeddings, in the same files: unit vectors around topics, with residuals
//! about as long as real ones, as in `benches/support`, and few topics per passage.
//!
//! Times, bytes and memory grow roughly as with real embeddings; recall does not carry over.

use crate::error::{Error, Result};
use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge::npy::NpyWriter;
use std::path::Path;

const DIM: usize = 128;
const TOPICS: usize = 2000;
const PASSAGES: usize = 4000;
const QUERIES: usize = 500;
/// Rows of a query in its file, padding included.
const QUERY_ROWS: usize = 32;
/// Number of topics of a passage: consecutive ones, so that passages overlap and have neighbours.
const TOPICS_OF_PASSAGE: usize = 24;

/// Writes the four files into `folder`.
pub fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let topics: Vec<f32> = (0..TOPICS * DIM).map(|_| normal(&mut rng)).collect();
    let (mut docs, mut queries) =
        (NpyWriter::create(&folder.join("docs.f16.npy"))?, NpyWriter::create(&folder.join("queries.f16.npy"))?);
    let doclens: Vec<u32> = (0..PASSAGES).map(|_| rng.random_range(20..=120)).collect();
    for &len in &doclens {
        let first = rng.random_range(0..TOPICS);
        (0..len).try_for_each(|_| docs.write(&near(&topics, first, &mut rng)))?;
    }
    let qlens: Vec<u32> = (0..QUERIES).map(|_| rng.random_range(6..=18)).collect();
    for &len in &qlens {
        let first = rng.random_range(0..TOPICS);
        (0..len).try_for_each(|_| queries.write(&near(&topics, first, &mut rng)))?;
        queries.write(&vec![0; (QUERY_ROWS - len as usize) * DIM * 2])?;
    }
    docs.finish("<f2", &[doclens.iter().sum::<u32>() as usize, DIM])?;
    queries.finish("<f2", &[QUERIES, QUERY_ROWS, DIM])?;
    write_counts(&folder.join("doclens.i32.npy"), &doclens)?;
    write_counts(&folder.join("qlens.i32.npy"), &qlens)
}

/// Writes a one-dimensional array of i32.
pub fn write_counts(path: &Path, counts: &[u32]) -> Result<()> {
    let mut npy = NpyWriter::create(path)?;
    npy.write(&counts.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(npy.finish("<i4", &[counts.len()])?)
}

/// Returns a unit row near one of the topics from `first` on, as f16 bytes.
fn near(topics: &[f32], first: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let topic = (first + rng.random_range(0..TOPICS_OF_PASSAGE)) % TOPICS;
    let row: Vec<f32> = topics[topic * DIM..][..DIM].iter().map(|t| t + 0.6 * normal(rng)).collect();
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter().flat_map(|x| f16::from_f32(x / norm).to_le_bytes()).collect()
}

/// Returns a nearly normal number of variance 0.5.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    (0..6).map(|_| rng.random::<f32>() - 0.5).sum()
}
