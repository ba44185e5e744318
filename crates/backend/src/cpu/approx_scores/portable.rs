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
        for at in (0..best.len()).step_by(WIDE) {
            let best = &mut best[at..];
            match best.len() / LANES {
                0 | 1 => maximize::<LANES>(job, tokens.clone(), at, best),
                2 => maximize::<{ 2 * LANES }>(job, tokens.clone(), at, best),
                3 => maximize::<{ 3 * LANES }>(job, tokens.clone(), at, best),
                _ => maximize::<WIDE>(job, tokens.clone(), at, best),
            }
        }
        *score = best[..query_len].iter().map(|best| best >> score_shift(query_len)).sum();
    }
}

/// Into `best`, the largest entries of `N` columns from `at` on, over the rows of the tokens' codes.
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
    best[..N].copy_from_slice(&lanes);
}
