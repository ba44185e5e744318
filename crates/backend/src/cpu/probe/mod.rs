//! The best centroids of each query token, from its column of the centroid table: `table (K, Q) i32` -> the best
//! `min(nprobe, K)` of each column.
//!
//! Eight columns at a time are read group of rows by group, through the table's maxima; a group in which no lane
//! exceeds its column's floor, as in most, costs one compare, and a row of the others as much.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{
    best::{id, value},
    passages::{LANES, Table},
};
use crate::Isa;

/// `table (K, Q)` -> the best `min(nprobe, K)` of each column, best first, `(Q, min(nprobe, K))`, and
/// the best entry left out of each, or else the last one taken, `(Q) i32`.
pub(super) fn probe(isa: Isa, table: &Table, nprobe: usize) -> (Vec<(u32, i32)>, Vec<i32>) {
    let take = nprobe.min(table.num_centroids());
    let keep = (take + 1).min(table.num_centroids());
    let groups = (0..table.query_len()).step_by(LANES);
    let columns: Vec<Vec<u64>> = groups.flat_map(|first| dispatch!(isa, table, first, keep)).collect();
    let columns = || columns.iter().take(table.query_len());
    let taken = columns().flat_map(|keys| keys[..take].iter().map(|&key| (id(key), value(key)))).collect();
    let left_out = columns().map(|keys| value(keys[keep - 1])).collect();
    (taken, left_out)
}
