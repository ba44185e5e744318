//! Ground truth: exact f32 MaxSim over uncompressed embeddings, block by block.

use crate::Result;
use crate::progress::{Progress, Stage};
use crate::source::Source;
use selvedge_backend::Backend;

/// Passages of a block.
const BLOCK_PASSAGES: usize = 1024;

/// Returns the pids of the best `k` passages of each query, best first; ties in order of pid. A passage without tokens
/// is never found.
///
/// `queries`: `(Q, D) f32` each. `pids`: passages that may be found, ascending.
///
/// # Errors
/// [`Error::Cancelled`](crate::Error::Cancelled) if `progress` asks to stop, or the error of `source` or of the
/// backend.
pub fn exact<B: Backend>(
    backend: &B,
    source: &mut dyn Source,
    queries: &[Vec<f32>],
    pids: &[u32],
    k: usize,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u32>>> {
    let dim = source.dim();
    let rows: Vec<f32> = queries.concat();
    let offsets = offsets(queries.iter().map(|q| q.len() / dim));
    let mut best: Vec<BestK> = queries.iter().map(|_| BestK::new(k)).collect();
    let mut stage = Stage::new(progress, "ground truth", "passages", Some(pids.len() as u64));
    for pids in pids.chunks(BLOCK_PASSAGES) {
        let block = source.fetch(pids)?;
        let block_offsets = self::offsets(block.lens.iter().map(|&l| l as usize));
        let scores = backend.maxsim_f32(dim, &rows, &offsets, &block.data, &block_offsets)?;
        for (query, (best, scores)) in best.iter_mut().zip(scores.chunks_exact(pids.len())).enumerate() {
            if !queries[query].is_empty() {
                best.add(scores.iter().copied().zip(pids.iter().copied()));
            }
        }
        stage.add(pids.len() as u64)?;
    }
    Ok(best.into_iter().map(BestK::into_pids).collect())
}

/// Returns the prefix sums of `lens`, from 0.
pub(crate) fn offsets(lens: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut offsets = vec![0];
    offsets.extend(lens.scan(0, |end, len| {
        *end += len;
        Some(*end)
    }));
    offsets
}

/// The best `k` passages so far, best first; ties in order of pid.
#[derive(Clone)]
pub(crate) struct BestK {
    k: usize,
    best: Vec<(f32, u32)>,
}

impl BestK {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, best: Vec::new() }
    }

    /// Adds scores of more passages. A passage without tokens, whose score is negative infinity, is left out.
    pub(crate) fn add(&mut self, scored: impl Iterator<Item = (f32, u32)>) {
        self.best.extend(scored.filter(|(score, _)| *score > f32::NEG_INFINITY));
        self.best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.best.truncate(self.k);
    }

    pub(crate) fn into_pids(self) -> Vec<u32> {
        self.best.into_iter().map(|(_, pid)| pid).collect()
    }
}
