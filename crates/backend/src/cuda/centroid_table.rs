//! `centroid_table`: kernels/centroid_table.cu.

use super::{
    Cuda,
    constants::{Constant, PANEL, TILE_ROWS},
    grid::blocks_of_warps,
    modules::{KernelVariant, value},
    query_layout::{self, Query},
    resident::{LoadedCodec, Table},
};
use crate::{Result, TABLE_LIMIT};
use selvedge_kernels::Op;

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 2] = [("THREADS", THREADS as i64), ("TABLE_LIMIT", TABLE_LIMIT as i64)];

/// Launches [`crate::Backend::centroid_table`].
///
/// # Panics
/// If the query is of another codec, or either is of another `Cuda`.
pub(super) fn centroid_table(cuda: &Cuda, codec: &LoadedCodec, query: &Query) -> Result<Table> {
    let host = &codec.host;
    query.assert_for(&cuda.context, host);
    codec.centroids.assert_of(&cuda.context);
    let (num_centroids, query_len, pitch) = (host.num_centroids(), query.len(), query_layout::pitch(query.len()));
    let entries = cuda.context.allocate(num_centroids * pitch)?;
    let kernel = cuda.modules.kernel(Op::CentroidTable, KernelVariant::dim(host.dim), "centroid_table")?;
    let factor = host.table_factor();
    let blocks = (blocks_of_warps(num_centroids.div_ceil(TILE_ROWS), THREADS).0, query_len.div_ceil(PANEL));
    let sizes = [num_centroids, query_len, pitch].map(|size| size as u32);
    let arguments = [
        entries.argument(),
        codec.centroids.argument(),
        query.rows.argument(),
        value(&factor),
        value(&sizes[0]),
        value(&sizes[1]),
        value(&sizes[2]),
    ];
    // SAFETY: the arguments match the kernel's parameters; the arrays are (K, pitch), (K, D) and (Q, D).
    unsafe { kernel.launch(blocks, THREADS, &arguments)? };
    Ok(Table { entries, num_centroids, query_len, pitch })
}
