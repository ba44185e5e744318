//! `approx_scores`: kernels/approx_scores.cu.

use super::{
    Cuda,
    launches::resident_blocks,
    modules::{Special, value},
    resident::{LoadedPassages, Scores, Table},
    selected::Selected,
};
use crate::{Result, Select, score_shift};
use selvedge_kernels::Op;

const THREADS: u32 = 128;

/// See [`crate::Backend::approx_scores`].
///
/// # Panics
/// If the table is another codec's.
pub(super) fn approx_scores(
    cuda: &Cuda,
    passages: &LoadedPassages,
    table: &Table,
    select: Select<'_>,
) -> Result<Scores> {
    assert_eq!(table.num_centroids, passages.codec.host.num_centroids(), "the table is the codec's");
    table.entries.assert_of(&cuda.context);
    let selected = Selected::new(cuda, select, passages.num_passages)?;
    let scores = cuda.context.allocate(selected.len())?;
    let kernel = cuda.modules.kernel(Op::ApproxScores, Special::NONE, "approx_scores")?;
    let (pitch, query_len, shift) = (table.pitch as u32, table.query_len as u32, score_shift(table.query_len));
    let (passages, len) = (passages.argument(&cuda.context), selected.len() as u32);
    let blocks = resident_blocks(&cuda.context, selected.len(), THREADS);
    let arguments = [
        value(&passages),
        table.entries.argument(),
        value(&pitch),
        value(&query_len),
        value(&shift),
        selected.argument(),
        value(&len),
        scores.argument(),
    ];
    // SAFETY: the arguments are the kernel's; the table is (K, pitch), and there is a pid, or none at all, and a score
    // for each selected passage. What passages lie about the kernel checks.
    unsafe { kernel.launch(blocks, THREADS, &arguments)? };
    Ok(Scores(scores))
}
