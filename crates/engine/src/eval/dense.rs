//! Single-vector baseline: mean pooling and cosine, by the encoder of the index.

use super::truth::BestK;
use crate::Result;
use crate::progress::{Progress, Stage};
use crate::stored_texts::for_each_block;
use rayon::prelude::*;
use selvedge_encoder::{Encoder, TextKind};
use selvedge_index::Index;

/// Returns the pids of the best `k` of these passages for each query text, best first, by the inner product of their
/// vectors.
pub(super) fn rankings(
    encoder: &Encoder,
    index: &Index,
    queries: &[String],
    pids: &[u32],
    k: usize,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u32>>> {
    let mut stage = Stage::new(progress, "dense", "passages", Some(pids.len() as u64));
    let queries = encoder.encode_dense(queries, TextKind::Query)?;
    let dim = queries.dim;
    let mut best: Vec<BestK> = queries.data.chunks_exact(dim).map(|_| BestK::new(k)).collect();
    for_each_block(index, pids, |pids, texts| {
        let passages = encoder.encode_dense(texts, TextKind::Passage)?.data;
        best.par_iter_mut().zip(queries.data.par_chunks_exact(dim)).for_each(|(best, query)| {
            let dot = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
            best.add(passages.chunks_exact(dim).map(dot).zip(pids.iter().copied()));
        });
        stage.add(pids.len() as u64)
    })?;
    Ok(best.into_iter().map(BestK::into_pids).collect())
}
