//! `centroid_table` in plain Rust.

use super::{Job, maximize};
use crate::{TABLE_LIMIT, cpu::dots::portable::Wide, types::round_small};

/// Rows of the centroids from `first` on -> `rows (n, stride) i32` and their maxima.
pub(super) fn run(job: &Job<'_>, first: usize, rows: &mut [i32], maxima: &mut [i32]) {
    let (dim, factor) = (job.codec.dim, job.codec.table_factor());
    let limit = TABLE_LIMIT as f32;
    let (query, mut wide) = (Wide::new(dim, &job.query.data), Wide::zeros(dim, 1));
    for (row, centroid) in rows.chunks_exact_mut(job.stride).zip(job.codec.centroids[first * dim..].chunks_exact(dim)) {
        row.fill(0);
        wide.set(0, 0, centroid);
        query.dots(wide.row(0), |i, dot| {
            row[i] = round_small((dot as f32 * factor).clamp(-limit, limit)) as i32;
        });
    }
    maximize(job.stride, rows, maxima);
}
