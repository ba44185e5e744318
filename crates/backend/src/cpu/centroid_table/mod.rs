//! The centroid part of every similarity: int8 dot products of all centroids with all query tokens, converted to the
//! unit of the residual part and rounded. `centroids (K, D) i8`, `query (Q, D) i8` -> `(K, Q) i32`:
//!
//! ```text
//! T[c][i] = clamp(round_ties_even(f32(dot(c8[c], q8[i])) * table_factor), -2^22, 2^22)
//! ```
//!
//! All `K` rows are computed. A search of two levels computes fewer rows, but did not pay in a simulation at the sizes
//! that were indexed (`crates/search/README.md`).
//!
//! The product is clamped before it is rounded: the bounds are integers, so the order does not matter.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{
    dots::Panels,
    passages::{GROUP, Table},
    query::Query,
};
use crate::{CheckedCodec, CodecParams, Isa, QuantizedQuery};

/// Centroids per call of a body.
const BLOCK_CENTROIDS: usize = 512;

/// Inputs of a block of work.
struct Job<'a> {
    codec: &'a CodecParams,
    query: &'a QuantizedQuery,
    panels: &'a Panels,
    /// `Q` rounded up to a multiple of 8.
    stride: usize,
}

/// `codec.centroids (K, D) i8`, `query (Q, D) i8` -> `(K, Q) i32`.
///
/// # Panics
/// If the query was made for another instruction set or dim.
pub(super) fn centroid_table(isa: Isa, codec: &CheckedCodec, query: &Query) -> Table {
    let (panels, query) = (query.in_order(isa, codec), query.rounded());
    let mut table = Table::unwritten(query.len(), codec.num_centroids());
    let job = Job { codec, query, panels, stride: table.stride() };
    if !query.is_empty() {
        let (entries, maxima) = table.parts_mut();
        let rows = entries.chunks_mut(BLOCK_CENTROIDS * job.stride);
        let maxima = maxima.chunks_mut(BLOCK_CENTROIDS / GROUP * job.stride);
        for (block, (rows, maxima)) in rows.zip(maxima).enumerate() {
            dispatch!(isa, &job, block * BLOCK_CENTROIDS, rows, maxima);
        }
    }
    table
}

/// Writes the largest entry of each column over each [`GROUP`] of `rows (n, stride)`, which `probe` reads.
#[inline(always)]
fn maximize(stride: usize, rows: &[i32], maxima: &mut [i32]) {
    for (rows, maxima) in rows.chunks(GROUP * stride).zip(maxima.chunks_exact_mut(stride)) {
        maxima.copy_from_slice(&rows[..stride]);
        for row in rows.chunks_exact(stride).skip(1) {
            maxima.iter_mut().zip(row).for_each(|(max, &entry)| *max = entry.max(*max));
        }
    }
}
