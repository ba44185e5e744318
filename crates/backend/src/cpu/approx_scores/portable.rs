//! `approx_scores` in plain Rust; the AVX2 and AVX-512 bodies are this one, compiled for them.

use super::Job;
use crate::{
    cpu::{
        aligned::{LINE, prefetch},
        passages::LANES,
    },
    score_shift,
};
use std::ops::Range;

/// Entries that are maximized in registers while the codes of a passage go by: four AVX2 registers.
const WIDE: usize = 4 * LANES;

/// Passages by which codes are asked for ahead of their turn, and offsets twice as far: picked passages lie anywhere, so
/// that each of them would wait for memory twice.
const AHEAD: usize = 8;

/// Scores of the selected passages from `first` on.
#[inline(always)]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let query_len = job.table.query_len();
    let mut best = vec![0i32; job.table.stride()];
    let end = first + scores.len();
    (first..end.min(first + 2 * AHEAD)).for_each(|i| ask_for_offsets(job, i));
    (first..end.min(first + AHEAD)).for_each(|i| ask_for_codes(job, i));
    for (i, score) in scores.iter_mut().enumerate() {
        if first + i + 2 * AHEAD < end {
            ask_for_offsets(job, first + i + 2 * AHEAD);
        }
        if first + i + AHEAD < end {
            ask_for_codes(job, first + i + AHEAD);
        }
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

/// Asks for the offsets of the selected passage `i`.
#[inline(always)]
fn ask_for_offsets(job: &Job<'_>, i: usize) {
    prefetch(job.passages.bytes().offsets.get(job.select.pid(i) as usize * 4..).unwrap_or_default());
}

/// Asks for the codes of the selected passage `i`.
#[inline(always)]
fn ask_for_codes(job: &Job<'_>, i: usize) {
    let bits = job.passages.codec().code_bits() as usize;
    let tokens = job.passages.bytes().tokens(job.select.pid(i) as usize);
    let bytes = tokens.start * bits / 8..(tokens.end * bits).div_ceil(8);
    job.passages.bytes().codes.get(bytes).unwrap_or_default().chunks(LINE).for_each(prefetch);
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
