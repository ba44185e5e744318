//! `centroid_table`: kernels/centroid_table.cu.

use super::{
    Cuda,
    calls::CudaStream,
    constants::{Constant, PANEL, TILE_ROWS},
    context::Buffer,
    grid::blocks_of_warps,
    modules::{Kernel, KernelVariant, value},
    query_layout::Query,
    resident::LoadedCodec,
    table::{Table, entries_len},
};
use crate::{Error, Result, TABLE_LIMIT, missing_score::GROUP};
use selvedge_kernels::Op;
use std::sync::Arc;

const THREADS: u32 = 128;
/// Part of the device's memory that a table may take: 1 / 4. The index takes most of the rest.
const MEMORY_SHARE: u64 = 4;

pub(super) const CONSTANTS: [Constant; 3] =
    [("THREADS", THREADS as i64), ("TABLE_LIMIT", TABLE_LIMIT as i64), ("GROUP", GROUP as i64)];

/// Launches [`crate::Backend::centroid_table`].
///
/// # Errors
/// [`Error::TableTooLarge`] if the table exceeds a quarter of the device's memory.
///
/// # Panics
/// If the query is of another codec, or either is of another `Cuda`.
pub(super) fn centroid_table(cuda: &Cuda, codec: &LoadedCodec, query: &Query) -> Result<Table> {
    let host = &codec.host;
    query.assert_for(&cuda.context, host);
    codec.centroids.assert_of(&cuda.context);
    let (num_centroids, query_len) = (host.num_centroids(), query.len());
    let len = checked_len(cuda, num_centroids, query_len)?;
    let table = Table {
        entries: Arc::new(cuda.context.allocate(len)?),
        norm: Arc::clone(&query.norm),
        narrow_below: codec.narrow_below,
        num_centroids,
        query_len,
        has_maxima: true,
    };
    let kernel = cuda.modules.kernel(Op::CentroidTable, KernelVariant::dim(host.dim), "centroid_table")?;
    // SAFETY: the table has the entries of K and Q, and the rows are (Q, D), whose norm is known.
    unsafe { launch(&kernel, cuda.context.stream(), &table, codec, &query.rows)? };
    Ok(table)
}

/// Returns the number of entries of a table with its maxima, [`entries_len`].
///
/// # Errors
/// [`Error::TableTooLarge`] if the table exceeds a quarter of the device's memory, before anything is allocated.
pub(super) fn checked_len(cuda: &Cuda, num_centroids: usize, query_len: usize) -> Result<usize> {
    let len = entries_len(num_centroids, query_len);
    let wanted_bytes = len as u64 * size_of::<i32>() as u64;
    let limit_bytes = cuda.context.device().memory_bytes / MEMORY_SHARE;
    if wanted_bytes > limit_bytes {
        return Err(Error::TableTooLarge { num_centroids, query_len, wanted_bytes, limit_bytes });
    }
    Ok(len)
}

/// Launches the kernel.
///
/// # Safety
/// `table` has the entries of the codec and the query, `rows` are `(Q, D)`, and the table's norm is theirs.
pub(super) unsafe fn launch(
    kernel: &Kernel,
    stream: &CudaStream,
    table: &Table,
    codec: &LoadedCodec,
    rows: &Buffer<i8>,
) -> Result<()> {
    let Table { num_centroids, query_len, .. } = *table;
    let argument = table.argument();
    let factor = codec.host.table_factor();
    let blocks = (blocks_of_warps(num_centroids.div_ceil(TILE_ROWS), THREADS).0, query_len.div_ceil(PANEL));
    let query_len = query_len as u32;
    let arguments =
        [argument.argument(), codec.centroids.argument(), rows.argument(), value(&factor), value(&query_len)];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, blocks, THREADS, &arguments) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Backend, CheckedCodec, CodecParams, QuantizedQuery, ResidualForm, RowCoding, WeightRule};

    /// A codec of 8 dims whose centroids are all ones.
    pub(in crate::cuda) fn codec_of_ones(num_centroids: usize) -> CodecParams {
        CodecParams {
            dim: 8,
            nbits: 0,
            centroids: vec![1; num_centroids * 8].into(),
            centroid_scale: 1.0,
            coding: RowCoding::Buckets,
            levels: Vec::new(),
            cutoffs: Vec::new(),
            form: ResidualForm::Orthogonal,
            rule: WeightRule::KeepLength,
            rotation: None,
            weight_bits: 0,
            centroid_weights: vec![1],
            residual_weights: vec![1],
            centroid_weight_step: 1.0,
            residual_weight_step: 1.0,
        }
    }

    /// A test of `cuda::process`: the emulated device has 1 GiB, so that a table may take 256 MiB.
    pub(in crate::cuda) fn a_table_has_a_share_of_the_memory(cuda: &Cuda) {
        let codec = |num_centroids| cuda.load_codec(CheckedCodec::new(codec_of_ones(num_centroids)).unwrap()).unwrap();
        let query = |codec: &_, len: usize| {
            let query = QuantizedQuery { dim: 8, data: vec![1; len * 8], scale: 1.0 };
            cuda.load_query(codec, query).unwrap()
        };
        let large = codec(1 << 18);
        let Err(Error::TableTooLarge { num_centroids, query_len, wanted_bytes, limit_bytes }) =
            centroid_table(cuda, &large, &query(&large, 257))
        else {
            panic!("a table of 324 MiB")
        };
        assert_eq!((num_centroids, query_len, limit_bytes), (1 << 18, 257, 1 << 28));
        assert_eq!(wanted_bytes, 324 << 20);
        let small = codec(3);
        centroid_table(cuda, &small, &query(&small, 257)).unwrap();
    }
}
