//! Scores from the centroid table alone: `sum over i of (max over t of T[code_t][i]) >> ceil(log2(Q))`.
//! The op reads codes, never residuals, and returns `(selected) i32`.

mod portable;

use super::passages::{Passages, Table};
use crate::{HostScores, Isa, Select};

autovectorize! {
    fn run(job: &Job<'_>, first: usize, scores: &mut [i32])
}

/// Inputs of a block of work.
struct Job<'a> {
    passages: &'a Passages,
    table: &'a Table,
    select: Select<'a>,
}

/// One score for each selected passage.
///
/// # Panics
/// If the table has another number of centroids than the codec of the passages.
pub(super) fn approx_scores(isa: Isa, passages: &Passages, table: &Table, select: Select<'_>) -> HostScores {
    assert_eq!(table.num_centroids(), passages.codec().num_centroids(), "the table is another codec's");
    let job = Job { passages, table, select };
    passages.score(select, |first, scores| dispatch!(isa, &job, first, scores))
}
