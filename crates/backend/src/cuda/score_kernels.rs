//! What `approx_scores` and `maxsim` share: a score for each selected passage, from a table.

use super::{
    Cuda,
    context::Buffer,
    grid::resident_blocks,
    modules::{KernelVariant, value},
    resident::{LoadedPassages, Scores, Table},
    selection::Selected,
};
use crate::{Result, Select, score_shift};
use selvedge_kernels::Op;

const THREADS: u32 = 128;

/// Runs the kernel of `op`, which has the op's name and takes `query` or does without.
///
/// # Panics
/// If the table is another codec's, or what is resident another `Cuda`'s.
pub(super) fn scores(
    cuda: &Cuda,
    (op, special): (Op, KernelVariant),
    passages: &LoadedPassages,
    table: &Table,
    query: Option<&Buffer<i8>>,
    select: Select<'_>,
) -> Result<Scores> {
    assert_eq!(table.num_centroids, passages.codec.host.num_centroids(), "the table is the codec's");
    table.entries.assert_of(&cuda.context);
    let selected = Selected::new(cuda, select, passages.num_passages)?;
    let scores = cuda.context.allocate(selected.len())?;
    let kernel = cuda.modules.kernel(op, special, op.name())?;
    let (pitch, query_len, shift) = (table.pitch as u32, table.query_len as u32, score_shift(table.query_len));
    let (passages, len) = (passages.argument(&cuda.context), selected.len() as u32);
    let blocks = resident_blocks(&cuda.context, selected.len(), THREADS);
    let mut arguments = vec![value(&passages), table.entries.argument(), value(&pitch)];
    arguments.extend(query.map(Buffer::argument));
    arguments.extend([value(&query_len), value(&shift), selected.argument(), value(&len), scores.argument()]);
    // SAFETY: the arguments are the kernel's; the table is (K, pitch), the query, if there is one, arranged for this codec,
    // and there is a pid, or none at all, and a score for each selected passage. What passages lie about the kernel checks.
    unsafe { kernel.launch(blocks, THREADS, &arguments)? };
    Ok(Scores { scores, selected })
}
