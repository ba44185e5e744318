//! The launcher of `approx_scores` and `maxsim`: one score per selected passage, from a table.

use super::{
    Cuda,
    constants::Constant,
    context::Buffer,
    grid::resident_blocks,
    modules::{KernelVariant, value},
    resident::{LoadedPassages, Scores, Table},
    selection::Selected,
};
use crate::{Result, Select, score_shift};
use selvedge_kernels::Op;

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 1] = [("THREADS", THREADS as i64)];

/// Launches the kernel of `op`, which has the op's name and takes `query` if there is one.
///
/// # Panics
/// If the table has another number of centroids than the codec, or an argument belongs to another `Cuda`.
pub(super) fn scores(
    cuda: &Cuda,
    (op, variant): (Op, KernelVariant),
    passages: &LoadedPassages,
    table: &Table,
    query: Option<&Buffer<i8>>,
    select: Select<'_>,
) -> Result<Scores> {
    assert_eq!(table.num_centroids, passages.codec.host.num_centroids(), "the table is the codec's");
    table.entries.assert_of(&cuda.context);
    let selected = Selected::new(cuda, select, passages.num_passages)?;
    let scores = cuda.context.allocate(selected.len())?;
    let kernel = cuda.modules.kernel(op, variant, op.name())?;
    let passages = passages.argument(&cuda.context);
    let (num_selected, pitch, query_len) = (selected.len() as u32, table.pitch as u32, table.query_len as u32);
    let shift = score_shift(table.query_len);
    let mut arguments = vec![scores.argument(), value(&passages), table.entries.argument()];
    arguments.extend(query.map(Buffer::argument));
    arguments.extend([selected.argument(), value(&num_selected), value(&pitch), value(&query_len), value(&shift)]);
    let blocks = resident_blocks(&cuda.context, selected.len(), THREADS);
    // SAFETY: the arguments match the kernel's parameters; the table is (K, pitch), the query, if there is one, is
    // arranged for this codec; there is a score for each selected passage, and a pid for each or no pids at all. The
    // kernel checks the offsets and codes that it reads, so the bytes of the passages may be corrupt.
    unsafe { kernel.launch(blocks, THREADS, &arguments)? };
    Ok(Scores { scores, selected })
}
