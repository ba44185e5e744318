//! `maxsim_f32`: kernels/maxsim_f32.cu.

use super::{
    Cuda,
    constants::Constant,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 1] = [("THREADS", THREADS as i64)];

/// Launches [`crate::Backend::maxsim_f32`].
///
/// # Panics
/// If `query_offsets` or `passage_offsets` is empty, descends, or ends after the last row.
pub(super) fn maxsim_f32(
    cuda: &Cuda,
    dim: usize,
    queries: &[f32],
    query_offsets: &[usize],
    embeddings: &[f32],
    passage_offsets: &[usize],
) -> Result<Vec<f32>> {
    let fits = |rows: &[f32], offsets: &[usize]| {
        offsets.is_sorted() && offsets.last().is_some_and(|&end| end * dim <= rows.len())
    };
    assert!(fits(queries, query_offsets) && fits(embeddings, passage_offsets), "offsets ascend within the rows");
    let num_scores = (query_offsets.len() - 1) * (passage_offsets.len() - 1);
    let (num_passages, width) = (passage_offsets.len() as u32 - 1, dim as u32);
    let kernel = cuda.modules.kernel(Op::MaxsimF32, KernelVariant::NONE, "maxsim_f32")?;
    let wide = |offsets: &[usize]| -> Vec<u64> { offsets.iter().map(|&offset| offset as u64).collect() };
    let (queries, embeddings) = (cuda.context.upload(queries)?, cuda.context.upload(embeddings)?);
    let query_offsets = cuda.context.upload(&wide(query_offsets))?;
    let passage_offsets = cuda.context.upload(&wide(passage_offsets))?;
    let scores = cuda.context.allocate::<f32>(num_scores)?;
    let arguments = [
        scores.argument(),
        queries.argument(),
        query_offsets.argument(),
        embeddings.argument(),
        passage_offsets.argument(),
        value(&num_passages),
        value(&width),
    ];
    // SAFETY: the arguments match the kernel's parameters; offsets are within the rows, and there is a score for each
    // pair.
    unsafe { kernel.launch((num_scores, 1), THREADS, &arguments)? };
    scores.download()
}
