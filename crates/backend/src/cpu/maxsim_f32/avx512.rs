//! `maxsim_f32` with AVX-512: one maximum per `D` FMA.

use super::Job;
use crate::cpu::tile::{
    WIDTH,
    avx512::{ROWS, tile},
};
use std::{arch::x86_64::*, ops::Range};

/// Scores of `passages` -> `(num_queries, passages) f32`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(job: &Job<'_>, passages: Range<usize>, scores: &mut [f32]) {
    job.each(passages, scores, |rows, panel| best(job.dim, rows, panel));
}

/// Best product of each lane of `panel (D, 16) f32` over `rows (L, D) f32`, `L > 0`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn best(dim: usize, rows: &[f32], panel: &[f32]) -> [f32; WIDTH] {
    assert!(!rows.is_empty() && rows.len().is_multiple_of(dim) && panel.len() == dim * WIDTH);
    let mut best = _mm512_set1_ps(f32::NEG_INFINITY);
    for group in rows.chunks(ROWS * dim) {
        // Missing rows are replaced by the last one, which cannot change a maximum.
        let row = |r: usize| group[(r * dim).min(group.len() - dim)..].as_ptr();
        // SAFETY: each row starts `dim` floats or more before the end of `group`, a whole number of
        // rows; the length of `panel` is checked above.
        let products = unsafe { tile::<ROWS, 1>(std::array::from_fn(row), panel.as_ptr(), dim, None) };
        best = products.into_iter().flatten().fold(best, |best, product| _mm512_max_ps(product, best));
    }
    let mut lanes = [0f32; WIDTH];
    // SAFETY: sixteen floats are one register.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), best) };
    lanes
}
