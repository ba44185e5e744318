//! `linear_int8` with AVX2: four rows meet sixteen outputs.

use super::{LinearInt8, RoundedRows};
use crate::cpu::{
    dots::avx2::{ROWS, Tile, signed},
    passages::LANES,
};
use std::arch::x86_64::*;

/// Rows of `y`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(x: &[f32], linear: &LinearInt8, y: &mut [f32], rounded: &mut RoundedRows) {
    rounded.fill(x, linear);
    let mut first = 0;
    while first + 2 <= linear.panels.len() {
        panels::<2>(rounded, linear, first, y);
        first += 2;
    }
    if first < linear.panels.len() {
        panels::<1>(rounded, linear, first, y);
    }
}

/// The columns of `V` panels.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn panels<const V: usize>(x: &RoundedRows, linear: &LinearInt8, first: usize, y: &mut [f32]) {
    let (width, outputs) = (linear.panels.width(), linear.outputs);
    let data = linear.panels.panels(first, V);
    for (group, (scales, y)) in x.scales.chunks(ROWS).zip(y.chunks_mut(ROWS * outputs)).enumerate() {
        let row = |r: usize| x.rows[(group * ROWS + r.min(scales.len() - 1)) * width..][..width].as_ptr().cast();
        // SAFETY: each row is a slice of `width` bytes, none of them -128, and `data` has `V` panels of `8 * width`.
        let sums: Tile<V> = unsafe { signed(std::array::from_fn(row), data.as_ptr(), LANES * width, width) };
        for ((y, sums), &scale) in y.chunks_exact_mut(outputs).zip(sums).zip(scales) {
            for (v, sums) in sums.into_iter().enumerate() {
                let of_outputs = &linear.scales[(first + v) * LANES..][..LANES];
                // SAFETY: a register of scales.
                let scale = _mm256_mul_ps(_mm256_set1_ps(scale), unsafe { _mm256_loadu_ps(of_outputs.as_ptr()) });
                let values = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
                let mut all = [0f32; LANES];
                // SAFETY: a register of values.
                unsafe { _mm256_storeu_ps(all.as_mut_ptr(), values) };
                let own = &mut y[(first + v) * LANES..];
                let num = own.len().min(LANES);
                own[..num].copy_from_slice(&all[..num]);
            }
        }
    }
}
