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

/// Number of columns whose maxima stay in registers while the codes of a passage are read: four AVX2
/// registers.
const WIDE: usize = 4 * LANES;

/// Distance in passages at which codes are prefetched; offsets are prefetched at twice the distance. Picked
/// passages are anywhere in memory, so without prefetches each would miss the cache twice.
const AHEAD: usize = 8;

/// Scores of the selected passages from `first` on.
#[inline(always)]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let query_len = job.table.query_len();
    let mut best = vec![0i32; job.table.stride()];
    let end = first + scores.len();
    (first..end.min(first + 2 * AHEAD)).for_each(|i| prefetch_offsets(job, i));
    (first..end.min(first + AHEAD)).for_each(|i| prefetch_codes(job, i));
    for (i, score) in scores.iter_mut().enumerate() {
        if first + i + 2 * AHEAD < end {
            prefetch_offsets(job, first + i + 2 * AHEAD);
        }
        if first + i + AHEAD < end {
            prefetch_codes(job, first + i + AHEAD);
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

/// Prefetches the offsets of the `i`-th selected passage.
#[inline(always)]
fn prefetch_offsets(job: &Job<'_>, i: usize) {
    prefetch(job.passages.bytes().offsets.get(job.select.pid(i) as usize * 4..).unwrap_or_default());
}

/// Prefetches the codes of the `i`-th selected passage.
#[inline(always)]
fn prefetch_codes(job: &Job<'_>, i: usize) {
    let bits = job.passages.codec().code_bits() as usize;
    let tokens = job.passages.bytes().tokens(job.select.pid(i) as usize);
    let bytes = tokens.start * bits / 8..(tokens.end * bits).div_ceil(8);
    job.passages.bytes().codes.get(bytes).unwrap_or_default().chunks(LINE).for_each(prefetch);
}

/// Writes to `best` the largest entries of the `N` columns from `at` on, over the rows of the tokens' codes.
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
