//! The best centroids of each query token, from its column of the centroid table: `table (K, Q) i32` -> the best
//! `min(nprobe, K)` of each column.
//!
//! Eight columns at a time are read group of rows by group, through the table's maxima; a group in which no lane
//! exceeds its column's floor, as in most, costs one compare, and a row of the others as much.

mod portable;

use super::{
    best::{id, value},
    passages::{LANES, Table},
};
use crate::{Isa, Probed, missing_score::MissingScore};

autovectorize! {
    fn run(table: &Table, first: usize, keep: usize) -> Vec<Vec<u64>>
}

/// `table (K, Q)` -> the best `min(nprobe, K)` of each column, best first, `(Q, min(nprobe, K))`, and
/// the entry imputed to what is in none of them, `(Q) i32`: see [`crate::Backend::probe`].
pub(super) fn probe(isa: Isa, table: &Table, nprobe: usize) -> Probed {
    let take = nprobe.min(table.num_centroids());
    let keep = (take + 1).min(table.num_centroids());
    let groups = (0..table.query_len()).step_by(LANES);
    let columns: Vec<Vec<u64>> = groups.flat_map(|first| dispatch!(isa, table, first, keep)).collect();
    let columns = || columns.iter().take(table.query_len());
    let cells = columns().flat_map(|keys| keys[..take].iter().map(|&key| (id(key), value(key)))).collect();
    let left_out = columns().map(|keys| value(keys[keep - 1]));
    let missing = left_out.zip(deeper(table, nprobe)).map(|(left_out, deeper)| left_out.min(deeper)).collect();
    Probed { cells, missing }
}

/// Of each column the entry that [`MissingScore`] finds.
fn deeper(table: &Table, nprobe: usize) -> Vec<i32> {
    let imputed = MissingScore::new(nprobe, table.num_centroids());
    let sample: Vec<&[i32]> = table.maxima().chunks_exact(table.stride().max(1)).step_by(imputed.step).collect();
    let mut column = vec![0; sample.len()];
    let entry = |i: usize| {
        column.iter_mut().zip(&sample).for_each(|(out, maxima)| *out = maxima[i]);
        imputed.of(&mut column)
    };
    (0..table.query_len()).map(entry).collect()
}
