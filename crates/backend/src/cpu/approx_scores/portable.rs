//! `approx_scores` in plain Rust; the AVX2 body is this one, compiled for AVX2.

use super::Job;
use crate::{cpu::passages::LANES, score_shift};
use std::ops::Range;

/// Entries that are maximized in registers while the codes of a passage go by: four AVX2 registers.
const WIDE: usize = 4 * LANES;

/// Scores of the selected passages from `first` on.
#[inline(always)]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let query_len = job.table.query_len();
    let mut best = vec![0i32; job.table.stride()];
    for (i, score) in scores.iter_mut().enumerate() {
        let tokens = job.passages.bytes().tokens(job.select.pid(first + i) as usize);
        if tokens.is_empty() {
            continue;
        }
        let (wide, narrow) = best.split_at_mut(job.table.stride() / WIDE * WIDE);
        for (w, best) in wide.chunks_exact_mut(WIDE).enumerate() {
            maximize::<WIDE>(job, tokens.clone(), w * WIDE, best);
        }
        for (n, best) in narrow.chunks_exact_mut(LANES).enumerate() {
            maximize::<LANES>(job, tokens.clone(), wide.len() + n * LANES, best);
        }
        *score = best[..query_len].iter().map(|best| best >> score_shift(query_len)).sum();
    }
}

/// Largest entries of `N` columns from `at` on, over the rows of the tokens' codes.
#[inline(always)]
fn maximize<const N: usize>(job: &Job<'_>, tokens: Range<usize>, at: usize, best: &mut [i32]) {
    let codes = job.passages.codes();
    let mut lanes = [i32::MIN; N];
    for t in tokens {
        let row: &[i32; N] = job.table.padded_row(codes.get(t))[at..at + N].try_into().expect("N columns");
        for lane in 0..N {
            lanes[lane] = lanes[lane].max(row[lane]);
        }
    }
    best.copy_from_slice(&lanes);
}
