//! `probe`: kernels/probe.cu.

use super::{
    Cuda,
    calls::CudaStream,
    constants::Constant,
    context::Buffer,
    modules::{Kernel, KernelVariant, value},
    select::{self, EntriesArgument, padded},
    table::Table,
    top_k::select_chunks,
};
use crate::{
    Probed, Result,
    missing_score::{GROUP, MissingScore},
};
use selvedge_kernels::Op;

pub(super) const CONSTANTS: [Constant; 1] = [("GROUP", GROUP as i64)];

/// Launches [`crate::Backend::probe`].
///
/// # Panics
/// If the table is of another `Cuda`.
pub(super) fn probe(cuda: &Cuda, table: &Table, nprobe: usize) -> Result<Probed> {
    let Table { num_centroids, query_len, .. } = *table;
    if query_len == 0 {
        return Ok(Probed::default());
    }
    table.entries.assert_of(&cuda.context);
    let shape = CellsShape::new(num_centroids, nprobe);
    let maxima = EntriesArgument::maxima(table);
    let (_of_chunks, entries) = select_chunks(cuda, maxima, query_len, shape.groups)?;
    let cells = cuda.context.allocate(shape.keys(query_len))?;
    let missing = cuda.context.allocate(query_len)?;
    let kernel = cuda.modules.kernel(Op::Probe, KernelVariant::NONE, "cells")?;
    // SAFETY: `cells` has its keys, `missing` is (Q), and the table has its entries and maxima.
    unsafe { launch_cells(&kernel, cuda.context.stream(), (&cells, &missing), &entries, table, shape)? };
    let cells = cells.download()?;
    let of_token = |cells: &[u64]| select::pairs(cells[..shape.probed].to_vec()).collect::<Vec<_>>();
    Ok(Probed {
        cells: cells.chunks_exact(padded(shape.most)).take(query_len).flat_map(of_token).collect(),
        missing: missing.download()?,
    })
}

/// Numbers of cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellsShape {
    nprobe: usize,
    /// Cells that are probed, of each token.
    pub(super) probed: usize,
    /// Cells that are selected: one more than are probed, if there is one. It is the best that is not probed.
    pub(super) most: usize,
    /// Groups that are selected, among which these are.
    pub(super) groups: usize,
}

impl CellsShape {
    /// Numbers of the best `nprobe` of `num_centroids` cells.
    pub(super) fn new(num_centroids: usize, nprobe: usize) -> Self {
        let probed = nprobe.min(num_centroids);
        let most = (probed + 1).min(num_centroids);
        Self { nprobe, probed, most, groups: most.min(num_centroids.div_ceil(GROUP)) }
    }

    /// Number of keys of the cells, `(Q, padded)`, and of the groups, `(Q, groups)`.
    pub(super) fn keys(&self, query_len: usize) -> usize {
        query_len * (padded(self.most) + self.groups)
    }
}

/// Launches `cells`: selects from `entries`, the maxima of `table` or the best of their chunks.
///
/// # Safety
/// `cells` has [its keys](CellsShape::keys), `missing` is `(Q)`, and `entries` are as long as they say.
pub(super) unsafe fn launch_cells(
    kernel: &Kernel,
    stream: &CudaStream,
    (cells, missing): (&Buffer<u64>, &Buffer<i32>),
    entries: &EntriesArgument,
    table: &Table,
    shape: CellsShape,
) -> Result<()> {
    let MissingScore { step, rank } = MissingScore::new(shape.nprobe, table.num_centroids);
    let sizes = [shape.most, padded(shape.most), shape.groups, step, rank].map(|size| size as u32);
    let ([most, padded, num_best, step, rank], of_table) = (sizes.each_ref().map(value), table.argument());
    let groups = cells.pointer() + (table.query_len * select::padded(shape.most) * size_of::<u64>()) as u64;
    let arguments = [
        cells.argument(),
        value(&groups),
        missing.argument(),
        entries.argument(),
        of_table.argument(),
        most,
        padded,
        num_best,
        step,
        rank,
    ];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, (table.query_len, 1), select::THREADS, &arguments) }
}
