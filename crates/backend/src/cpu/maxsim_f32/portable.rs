//! `maxsim_f32` in plain Rust.

use super::Job;
use crate::cpu::tile::{WIDTH, portable::tile};
use std::ops::Range;

/// Scores of `passages` -> `(num_queries, passages) f32`.
pub(super) fn run(job: &Job<'_>, passages: Range<usize>, scores: &mut [f32]) {
    job.each(passages, scores, |rows, panel| best(job.dim, rows, panel));
}

/// Best product of each lane of `panel (D, 16) f32` over `rows (L, D) f32`.
fn best(dim: usize, rows: &[f32], panel: &[f32]) -> [f32; WIDTH] {
    let mut best = [f32::NEG_INFINITY; WIDTH];
    for pair in rows.chunks(2 * dim) {
        let products = tile([&pair[..dim], &pair[pair.len() - dim..]], panel);
        for lane in 0..WIDTH {
            best[lane] = best[lane].max(products[0][lane]).max(products[1][lane]);
        }
    }
    best
}
