//! `centroid_table`: kernels/centroid_table.cu.

use super::{
    Cuda,
    grid::blocks_of_warps,
    modules::{KernelVariant, value},
    query_layout::{self, Query},
    resident::{LoadedCodec, Table},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 128;
/// Centroids of a warp, and query tokens.
const ROWS: usize = 16;
const PANEL: usize = 32;

/// See [`crate::Backend::centroid_table`].
///
/// # Panics
/// If the query is another codec's, or either is another `Cuda`'s.
pub(super) fn centroid_table(cuda: &Cuda, codec: &LoadedCodec, query: &Query) -> Result<Table> {
    let host = &codec.host;
    query.assert_for(&cuda.context, host);
    codec.centroids.assert_of(&cuda.context);
    let (num_centroids, query_len, pitch) = (host.num_centroids(), query.len(), query_layout::pitch(query.len()));
    let entries = cuda.context.allocate(num_centroids * pitch)?;
    let kernel = cuda.modules.kernel(Op::CentroidTable, KernelVariant::dim(host.dim), "centroid_table")?;
    let (k, q, p) = (num_centroids as u32, query_len as u32, pitch as u32);
    let factor = host.table_factor();
    let blocks = (blocks_of_warps(num_centroids.div_ceil(ROWS), THREADS).0, query_len.div_ceil(PANEL));
    let arguments = [
        codec.centroids.argument(),
        value(&k),
        query.rows.argument(),
        value(&q),
        value(&factor),
        entries.argument(),
        value(&p),
    ];
    // SAFETY: the arguments are the kernel's; the arrays are (K, D), (Q, D) and (K, pitch).
    unsafe { kernel.launch(blocks, THREADS, &arguments)? };
    Ok(Table { entries, num_centroids, query_len, pitch })
}
