//! `top_k`: kernels/top_k.cu.

use super::{
    Cuda,
    calls::CudaStream,
    context::Buffer,
    modules::{Kernel, KernelVariant, value},
    resident::Scores,
    select::{self, Chunks, EntriesArgument, padded},
};
use crate::{RawHit, Result};
use selvedge_kernels::Op;

/// Launches [`crate::Backend::top_k`].
///
/// # Panics
/// If the scores are of another `Cuda`.
pub(super) fn top_k(cuda: &Cuda, scores: &Scores, k: usize) -> Result<Vec<RawHit>> {
    let Scores { scores, selected } = scores;
    scores.assert_of(&cuda.context);
    let most = k.min(selected.len());
    if most == 0 {
        return Ok(Vec::new());
    }
    let entries = EntriesArgument::scores(scores, selected.chosen(), selected.len());
    let stream = cuda.context.stream();
    let (_of_chunks, entries) = select_chunks(cuda, entries, 1, most)?;
    let best = cuda.context.allocate(padded(most))?;
    let kernel = cuda.modules.kernel(Op::TopK, KernelVariant::NONE, "best")?;
    // SAFETY: `best` has the padded length, and there is no counter.
    unsafe { launch_best(&kernel, stream, *best.pointer(), 0, &entries, (most, Order::BestFirst))? };
    Ok(select::pairs(best.download()?).map(|(pid, score)| RawHit { pid, score }).collect())
}

/// Replaces many entries, of `columns` columns, by the best `most` of each chunk. The buffer has these.
pub(super) fn select_chunks(
    cuda: &Cuda,
    entries: EntriesArgument,
    columns: usize,
    most: usize,
) -> Result<(Option<Buffer<u64>>, EntriesArgument)> {
    let Some(chunks) = Chunks::new(&cuda.context, entries.num(), columns, most) else { return Ok((None, entries)) };
    let best = cuda.context.allocate(columns * chunks.number * most)?;
    let kernel = cuda.modules.kernel(Op::TopK, KernelVariant::NONE, "best_of_chunks")?;
    // SAFETY: `best` has the keys of all chunks, and the caller has the entries.
    unsafe { select::launch_chunks(&kernel, cuda.context.stream(), &best, &entries, (chunks, columns), most)? };
    let entries = EntriesArgument::keys(&best, chunks.number * most);
    Ok((Some(best), entries))
}

/// The order of keys that were selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Best first; a block takes up to 105 steps to sort [`select::MOST_SORTED`].
    BestFirst,
    /// Any order, for keys that are all scored next.
    Any,
}

/// Launches `best`: writes the best `most` of a column to the address `best`, and their number to the address `found`,
/// if it is not 0.
///
/// # Safety
/// `best` has `most` keys, or [`padded`] ones in order; `found` is 0 or the address of a u32, and `entries` are as long
/// as they say.
pub(super) unsafe fn launch_best(
    kernel: &Kernel,
    stream: &CudaStream,
    best: u64,
    found: u64,
    entries: &EntriesArgument,
    (most, order): (usize, Order),
) -> Result<()> {
    let padded = if order == Order::BestFirst { padded(most) as u32 } else { 0 };
    let most = most as u32;
    let arguments = [value(&best), value(&found), entries.argument(), value(&most), value(&padded)];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, (1, 1), select::THREADS, &arguments) }
}
