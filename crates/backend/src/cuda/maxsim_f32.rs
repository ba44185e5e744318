//! `maxsim_f32`: kernels/maxsim_f32.cu.

use super::{
    Cuda,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 128;

/// See [`crate::Backend::maxsim_f32`].
///
/// # Panics
/// If offsets do not ascend to the number of rows, of queries or of embeddings.
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
    assert!(fits(queries, query_offsets) && fits(embeddings, passage_offsets), "offsets of rows");
    let (num_queries, num_passages) = (query_offsets.len() - 1, passage_offsets.len() - 1);
    let kernel = cuda.modules.kernel(Op::MaxsimF32, KernelVariant::NONE, "maxsim_f32")?;
    let wide = |offsets: &[usize]| -> Vec<u64> { offsets.iter().map(|&offset| offset as u64).collect() };
    let (queries, embeddings) = (cuda.context.upload(queries)?, cuda.context.upload(embeddings)?);
    let query_ends = cuda.context.upload(&wide(query_offsets))?;
    let passage_ends = cuda.context.upload(&wide(passage_offsets))?;
    let scores = cuda.context.allocate::<f32>(num_queries * num_passages)?;
    let (passages, width) = (num_passages as u32, dim as u32);
    let arguments = [
        queries.argument(),
        query_ends.argument(),
        embeddings.argument(),
        passage_ends.argument(),
        value(&passages),
        value(&width),
        scores.argument(),
    ];
    // SAFETY: the arguments are the kernel's; offsets are within the rows, and each pair has room for its score.
    unsafe { kernel.launch((num_queries * num_passages, 1), THREADS, &arguments)? };
    scores.download()
}
