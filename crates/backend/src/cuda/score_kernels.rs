//! The launcher of `approx_scores` and `maxsim`: one score per chosen passage, from a table.

use super::{
    Cuda,
    calls::CudaStream,
    chosen::{ChosenArgument, Selected},
    constants::Constant,
    context::Buffer,
    grid::resident_blocks,
    modules::{Kernel, value},
    resident::{CodecArgument, LoadedPassages, Scores, SegmentArgument},
    table::Table,
};
use crate::{Result, Select, score_shift};

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 1] = [("THREADS", THREADS as i64)];

/// Segments in device memory, and what they have in common.
#[derive(Clone, Copy)]
pub(super) struct Segments<'a> {
    pub(super) segments: &'a Buffer<SegmentArgument>,
    pub(super) codec: CodecArgument,
}

/// Launches the kernels of an op, which take `query` if there is one.
///
/// # Panics
/// If the table has another number of centroids than the codec, or an argument belongs to another `Cuda`.
pub(super) fn scores(
    cuda: &Cuda,
    kernels: &[Kernel],
    passages: &LoadedPassages,
    table: &Table,
    query: Option<&Buffer<i8>>,
    select: Select<'_>,
) -> Result<Scores> {
    assert_eq!(table.num_centroids, passages.codec.host.num_centroids(), "the table is the codec's");
    table.entries.assert_of(&cuda.context);
    passages.segment.assert_of(&cuda.context);
    let selected = Selected::new(cuda, select, passages.num_passages)?;
    let scores = cuda.context.allocate(selected.len())?;
    let segments = Segments { segments: &passages.segment, codec: passages.codec.argument() };
    let chosen = (selected.chosen(), selected.len());
    // SAFETY: there is a score for each selected passage; the query, if there is one, is arranged for this codec.
    unsafe { launch(kernels, cuda, cuda.context.stream(), &scores, segments, table, query, chosen)? };
    Ok(Scores { scores, selected })
}

/// Launches `approx_scores`, or the kernels of `maxsim` with a query, for a number of chosen passages.
///
/// # Safety
/// `scores` has that number of scores, and the chosen passages are as many; the table is of the segments'
/// codec; the query, if there is one, is arranged for it. The kernel checks the pids, offsets and codes that it reads,
/// so the bytes of the passages may be corrupt.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn launch(
    kernels: &[Kernel],
    cuda: &Cuda,
    stream: &CudaStream,
    scores: &Buffer<i32>,
    Segments { segments, codec }: Segments<'_>,
    table: &Table,
    query: Option<&Buffer<i8>>,
    (chosen, number): (ChosenArgument, usize),
) -> Result<()> {
    let sizes = [segments.len(), number, table.query_len].map(|size| size as u32);
    let (shift, of_table) = (score_shift(table.query_len), table.argument());
    let mut arguments = vec![scores.argument(), segments.argument()];
    arguments.extend(query.map(|_| value(&codec)));
    arguments.push(of_table.argument());
    arguments.extend(query.map(Buffer::argument));
    arguments.push(chosen.argument());
    arguments.extend(sizes.iter().map(value));
    arguments.push(value(&shift));
    let blocks = resident_blocks(&cuda.context, number, THREADS);
    // SAFETY: the arguments match the kernels' parameters; the caller guarantees their lengths.
    kernels.iter().try_for_each(|kernel| unsafe { kernel.launch_on(stream, blocks, THREADS, &arguments) })
}
