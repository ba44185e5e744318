//! The centroid part of every similarity: int8 dot products of all centroids with all query tokens,
//! rounded into the residual's scale. `centroids (K, D) i8`, `query (Q, D) i8` -> `(K, Q) i32`:
//!
//! ```text
//! T[c][i] = clamp(round_ties_even(f32(dot(c8[c], q8[i])) * table_factor), -2^22, 2^22)
//! ```
//!
//! The product is clamped before it is rounded: the bounds are integers, so the order is all one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{dots::Panels, passages::Table};
use crate::{Codec, Isa, QuantizedQuery};

/// Centroids that are multiplied under one choice of instruction set.
const BLOCK_CENTROIDS: usize = 512;

/// What a block of work reads.
struct Job<'a> {
    codec: &'a Codec,
    query: &'a QuantizedQuery,
    panels: Panels,
    /// `Q` rounded up to 8.
    stride: usize,
}

/// `codec.centroids (K, D) i8`, `query (Q, D) i8` -> `(K, Q) i32`.
///
/// # Panics
/// If codec and query differ in dim.
pub(super) fn centroid_table(isa: Isa, codec: &Codec, query: &QuantizedQuery) -> Table {
    assert_eq!(codec.dim, query.dim, "codec and query differ in dim");
    let mut table = Table::zeros(query.len(), codec.num_centroids());
    let job = Job { codec, query, panels: Panels::new(query), stride: table.stride() };
    if !query.is_empty() {
        let rows = table.entries_mut().chunks_mut(BLOCK_CENTROIDS * job.stride).enumerate();
        rows.for_each(|(block, rows)| dispatch!(isa, &job, block * BLOCK_CENTROIDS, rows));
    }
    table
}
