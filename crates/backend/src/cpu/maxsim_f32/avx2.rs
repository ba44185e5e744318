//! `maxsim_f32` with AVX2 and FMA: one maximum per `D` FMA.

use super::Job;
use crate::cpu::tile::{
    WIDTH,
    avx2::{ROWS, tile},
};
use std::{arch::x86_64::*, ops::Range};

/// Scores of `passages` -> `(num_queries, passages) f32`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(job: &Job<'_>, passages: Range<usize>, scores: &mut [f32]) {
    job.each(passages, scores, |rows, panel| best(job.dim, rows, panel));
}

/// Best product of each lane of `panel (D, 16) f32` over `rows (L, D) f32`, `L > 0`.
#[target_feature(enable = "avx2,fma")]
fn best(dim: usize, rows: &[f32], panel: &[f32]) -> [f32; WIDTH] {
    assert!(!rows.is_empty() && rows.len().is_multiple_of(dim) && panel.len() == dim * WIDTH);
    let mut best = [_mm256_set1_ps(f32::NEG_INFINITY); 2];
    for group in rows.chunks(ROWS * dim) {
        // Missing rows are replaced by the last one, which cannot change a maximum.
        let row = |r: usize| group[(r * dim).min(group.len() - dim)..].as_ptr();
        // SAFETY: each row starts `dim` floats or more before the end of `group`, a whole number of
        // rows; the length of `panel` is checked above.
        let products = unsafe { tile::<ROWS>(std::array::from_fn(row), panel.as_ptr(), dim, None) };
        for [low, high] in products {
            best[0] = _mm256_max_ps(low, best[0]);
            best[1] = _mm256_max_ps(high, best[1]);
        }
    }
    let mut lanes = [0f32; WIDTH];
    // SAFETY: sixteen floats are two registers.
    unsafe {
        _mm256_storeu_ps(lanes.as_mut_ptr(), best[0]);
        _mm256_storeu_ps(lanes.as_mut_ptr().add(WIDTH / 2), best[1]);
    }
    lanes
}
