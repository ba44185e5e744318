//! `centroid_table` in plain Rust.

use super::{Job, maximize};
use crate::{TABLE_LIMIT, cpu::dots::dot};

/// Rows of the centroids from `first` on -> `rows (n, stride) i32` and their maxima.
pub(super) fn run(job: &Job<'_>, first: usize, rows: &mut [i32], maxima: &mut [i32]) {
    let (dim, factor) = (job.codec.dim, job.codec.table_factor());
    let limit = TABLE_LIMIT as f32;
    for (row, centroid) in rows.chunks_exact_mut(job.stride).zip(job.codec.centroids[first * dim..].chunks_exact(dim)) {
        row.fill(0);
        for (i, entry) in row[..job.query.len()].iter_mut().enumerate() {
            let product = dot(centroid, job.query.row(i)) as f32 * factor;
            *entry = product.clamp(-limit, limit).round_ties_even() as i32;
        }
    }
    maximize(job.stride, rows, maxima);
}
