//! The best centroids of each query token, from its column of the centroid table: `table (K, Q) i32` -> the best
//! `min(nprobe, K)` of each column.
//!
//! Eight columns are read at a time. The floor of a column is an entry that later ones must exceed to be among the
//! best. The table keeps the maxima of groups of rows: most groups have no entry above the floor of its column and cost
//! one comparison of maxima; in the others each row costs one.

mod portable;

use super::{
    best::{id, value},
    passages::{LANES, Table},
};
use crate::{Isa, Probed, missing_score::MissingScore};

autovectorize! {
    fn run(table: &Table, first: usize, keep: usize) -> Vec<Vec<u64>>
}

/// `table (K, Q)` -> the best `min(nprobe, K)` of each column, best first, `(Q, min(nprobe, K))`, and the missing
/// scores, `(Q) i32`: see [`crate::Backend::probe`].
pub(super) fn probe(isa: Isa, table: &Table, nprobe: usize) -> Probed {
    let take = nprobe.min(table.num_centroids());
    let keep = (take + 1).min(table.num_centroids());
    let groups = (0..table.query_len()).step_by(LANES);
    let columns: Vec<Vec<u64>> = groups.flat_map(|first| dispatch!(isa, table, first, keep)).collect();
    let columns = || columns.iter().take(table.query_len());
    let cells = columns().flat_map(|keys| keys[..take].iter().map(|&key| (id(key), value(key)))).collect();
    let bounds = columns().map(|keys| value(keys[keep - 1]));
    let missing = bounds.zip(missing_scores(table, nprobe)).map(|(bound, missing)| bound.min(missing)).collect();
    Probed { cells, missing }
}

/// The entry of each column that [`MissingScore`] selects.
fn missing_scores(table: &Table, nprobe: usize) -> Vec<i32> {
    let missing = MissingScore::new(nprobe, table.num_centroids());
    let sample: Vec<&[i32]> = table.maxima().chunks_exact(table.stride().max(1)).step_by(missing.step).collect();
    let mut column = vec![0; sample.len()];
    let entry = |i: usize| {
        column.iter_mut().zip(&sample).for_each(|(out, maxima)| *out = maxima[i]);
        missing.of(&mut column)
    };
    (0..table.query_len()).map(entry).collect()
}
