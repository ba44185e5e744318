//! Ground truth: exact f32 MaxSim over the uncompressed vectors, streamed block by block.

use crate::Result;
use crate::progress::{Progress, Stage};
use crate::source::Source;
use selvedge_backend::Backend;

/// Passages of a block.
const BLOCK_PASSAGES: usize = 1024;

/// The best `k` passages of each query, best first; ties by pid. A passage without tokens is never found.
///
/// `queries`: `(Q, D) f32` each.
pub fn exact<B: Backend>(
    backend: &B,
    source: &mut dyn Source,
    queries: &[Vec<f32>],
    k: usize,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u32>>> {
    let dim = source.dim();
    let rows: Vec<f32> = queries.concat();
    let offsets = offsets(queries.iter().map(|q| q.len() / dim));
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::new(); queries.len()];
    let num_passages = source.num_passages();
    let mut stage = Stage::new(progress, "ground truth", "passages", Some(num_passages as u64));
    for start in (0..num_passages).step_by(BLOCK_PASSAGES) {
        let pids: Vec<u32> = (start as u32..num_passages.min(start + BLOCK_PASSAGES) as u32).collect();
        let block = source.fetch(&pids)?;
        let block_offsets = self::offsets(block.lens.iter().map(|&l| l as usize));
        let scores = backend.maxsim_f32(dim, &rows, &offsets, &block.data, &block_offsets)?;
        for (query, (best, scores)) in best.iter_mut().zip(scores.chunks_exact(pids.len())).enumerate() {
            if !queries[query].is_empty() {
                keep_best(best, scores.iter().copied().zip(pids.iter().copied()), k);
            }
        }
        stage.add(pids.len() as u64)?;
    }
    Ok(best.into_iter().map(|b| b.into_iter().map(|(_, pid)| pid).collect()).collect())
}

/// The best `k` rows of `passages (P, D)` for each row of `queries`, by inner product.
pub fn nearest(dim: usize, queries: &[f32], passages: &[f32], k: usize) -> Vec<Vec<u32>> {
    let one = |query: &[f32]| {
        let dot = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
        let mut best = Vec::new();
        keep_best(&mut best, passages.chunks_exact(dim).map(dot).zip(0..), k);
        best.into_iter().map(|(_, pid)| pid).collect()
    };
    queries.chunks_exact(dim).map(one).collect()
}

/// 0, and where each ends.
pub fn offsets(lens: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut offsets = vec![0];
    offsets.extend(lens.scan(0, |end, len| {
        *end += len;
        Some(*end)
    }));
    offsets
}

fn keep_best(best: &mut Vec<(f32, u32)>, scored: impl Iterator<Item = (f32, u32)>, k: usize) {
    best.extend(scored.filter(|(score, _)| *score > f32::NEG_INFINITY));
    best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    best.truncate(k);
}
