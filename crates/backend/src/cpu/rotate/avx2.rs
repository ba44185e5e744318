//! `rotate` with AVX2: a block is two registers, whose pairs are brought together by shuffles.

use super::portable::{BLOCK, run_with};
use crate::Rotation;
use std::arch::x86_64::*;

#[target_feature(enable = "avx2,fma")]
pub(super) fn run(rotation: &Rotation, rows: &mut [f32], back: bool) {
    run_with(rotation, rows, back, |block: &mut [f32; BLOCK]| {
        // SAFETY: a block is 16 f32.
        let low = within(unsafe { _mm256_loadu_ps(block.as_ptr()) });
        // SAFETY: as above.
        let high = within(unsafe { _mm256_loadu_ps(block[8..].as_ptr()) });
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(block.as_mut_ptr(), _mm256_add_ps(low, high)) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(block[8..].as_mut_ptr(), _mm256_sub_ps(low, high)) };
    });
}

/// Pairs 1, 2 and 4 components apart.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn within(mut x: __m256) -> __m256 {
    x = pairs::<0b10101010>(x, _mm256_permute_ps::<0b10_11_00_01>(x));
    x = pairs::<0b11001100>(x, _mm256_permute_ps::<0b01_00_11_10>(x));
    pairs::<0b11110000>(x, _mm256_permute2f128_ps::<1>(x, x))
}

/// Sums of components and their others; differences, in the lanes of `UPPER`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn pairs<const UPPER: i32>(x: __m256, other: __m256) -> __m256 {
    _mm256_blend_ps::<UPPER>(_mm256_add_ps(x, other), _mm256_sub_ps(other, x))
}
