//! `rotate` with AVX-512: a window of up to 128 components stays in registers for a whole round. Pairs less than a
//! register apart are brought together by shuffles.

use super::portable;
use crate::Rotation;
use std::arch::x86_64::*;

const LANES: usize = 16;

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn run(rotation: &Rotation, rows: &mut [f32], back: bool) {
    match rotation.window(0).len() / LANES {
        1 => rotate::<1>(rotation, rows, back),
        2 => rotate::<2>(rotation, rows, back),
        4 => rotate::<4>(rotation, rows, back),
        8 => rotate::<8>(rotation, rows, back),
        _ => portable::run(rotation, rows, back),
    }
}

/// Rotates rows whose windows fill `N` registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn rotate<const N: usize>(rotation: &Rotation, rows: &mut [f32], back: bool) {
    let scale = _mm512_set1_ps(Rotation::scale(N * LANES));
    for row in rows.chunks_exact_mut(rotation.dim()) {
        for round in 0..rotation.rounds() {
            let round = if back { rotation.rounds() - 1 - round } else { round };
            let (window, signs) = (rotation.window(round), rotation.signs(round));
            // The components outside the window are only flipped.
            let outside = (0..window.start).chain(window.end..row.len());
            outside.for_each(|d| row[d] *= signs[d]);
            let (row, signs) = (&mut row[window.clone()], &signs[window]);
            let mut x = load::<N>(row);
            if !back {
                x = product(x, load(signs));
            }
            x = hadamard(x).map(|x| _mm512_mul_ps(x, scale));
            if back {
                x = product(x, load(signs));
            }
            for (row, x) in row.as_chunks_mut::<LANES>().0.iter_mut().zip(x) {
                // SAFETY: a chunk is 16 f32.
                unsafe { _mm512_storeu_ps(row.as_mut_ptr(), x) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load<const N: usize>(row: &[f32]) -> [__m512; N] {
    let (chunks, _) = row.as_chunks::<LANES>();
    // SAFETY: a chunk is 16 f32.
    std::array::from_fn(|at| unsafe { _mm512_loadu_ps(chunks[at].as_ptr()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn product<const N: usize>(x: [__m512; N], y: [__m512; N]) -> [__m512; N] {
    std::array::from_fn(|at| _mm512_mul_ps(x[at], y[at]))
}

/// Sums and differences of pairs 1, 2, 4, ... components apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn hadamard<const N: usize>(mut x: [__m512; N]) -> [__m512; N] {
    for x in &mut x {
        *x = pairs::<0xAAAA>(*x, _mm512_permute_ps::<0b10_11_00_01>(*x));
        *x = pairs::<0xCCCC>(*x, _mm512_permute_ps::<0b01_00_11_10>(*x));
        *x = pairs::<0xF0F0>(*x, _mm512_shuffle_f32x4::<0b10_11_00_01>(*x, *x));
        *x = pairs::<0xFF00>(*x, _mm512_shuffle_f32x4::<0b01_00_11_10>(*x, *x));
    }
    let mut half = 1;
    while half < N {
        x = std::array::from_fn(|at| match at & half {
            0 => _mm512_add_ps(x[at], x[at | half]),
            _ => _mm512_sub_ps(x[at ^ half], x[at]),
        });
        half *= 2;
    }
    x
}

/// Sums of components and their others; differences, in the lanes of `UPPER`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn pairs<const UPPER: u16>(x: __m512, other: __m512) -> __m512 {
    _mm512_mask_sub_ps(_mm512_add_ps(x, other), UPPER, other, x)
}
