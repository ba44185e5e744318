//! `linear_int8` with AVX2: four rows by sixteen outputs.

use super::{LinearInt8, RoundedRows};
use crate::cpu::{
    dots::avx2::{ROWS, Tile, narrow},
    passages::LANES,
};
use std::arch::x86_64::*;

run_by_panels!("avx2,fma");

/// The columns of `V` panels.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn panels<const V: usize>(x: &RoundedRows, linear: &LinearInt8, first: usize, y: &mut [f32]) {
    let (width, outputs) = (linear.panels.width(), linear.outputs);
    let data = linear.panels.panels(first, V);
    let lower = lower(linear, first);
    for (group, (scales, y)) in x.scales.chunks(ROWS).zip(y.chunks_mut(ROWS * outputs)).enumerate() {
        let row = |r: usize| x.rows[(group * ROWS + r.min(scales.len() - 1)) * width..][..width].as_ptr().cast();
        // The next panels are prefetched while rows are multiplied with these.
        let ahead = data.as_ptr().wrapping_add((V + group.min(V)) * LANES * width);
        // SAFETY: each row is a slice of `width` bytes, and `data` has `V` panels of `8 * width`.
        let sums: Tile<V> = unsafe { narrow(std::array::from_fn(row), data.as_ptr(), width, lower, ahead) };
        for ((y, sums), &scale) in y.chunks_exact_mut(outputs).zip(sums).zip(scales) {
            store(sums, scale, linear, first, y);
        }
    }
}

/// Initial values of products: rows are `x + 128`, so a product starts at -128 times the sum of its weights.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn lower<const V: usize>(linear: &LinearInt8, first: usize) -> [__m256i; V] {
    std::array::from_fn(|v| {
        // SAFETY: a panel has a register of sums.
        let sums = unsafe { _mm256_loadu_si256(linear.panels.sums(first + v).as_ptr().cast()) };
        _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32::<7>(sums))
    })
}

/// Writes the scaled sums of a row to the outputs of its panels.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn store<const V: usize>(sums: [__m256i; V], scale: f32, linear: &LinearInt8, first: usize, y: &mut [f32]) {
    for (v, sums) in sums.into_iter().enumerate() {
        let of_outputs = &linear.scales[(first + v) * LANES..][..LANES];
        // SAFETY: a register of scales.
        let scale = _mm256_mul_ps(_mm256_set1_ps(scale), unsafe { _mm256_loadu_ps(of_outputs.as_ptr()) });
        let values = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
        let own = &mut y[(first + v) * LANES..];
        if let Some(out) = own.first_chunk_mut::<LANES>() {
            // SAFETY: a register of values.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) };
        } else {
            let mut all = [0f32; LANES];
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(all.as_mut_ptr(), values) };
            own.copy_from_slice(&all[..own.len()]);
        }
    }
}
