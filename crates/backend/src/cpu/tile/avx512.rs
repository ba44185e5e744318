//! Twelve rows by sixteen: twelve registers of sums and one of the panel; rows are broadcast by the multiplication itself.
//!
//! Per component: 12 FMA (6 cycles on two ports, 12 on one) and 13 loads (6.5 cycles on two ports). Each product is the
//! same chain of additions as with AVX2, to the bit.

use super::WIDTH;
use std::arch::x86_64::*;

/// Rows of a tile.
pub(in crate::cpu) const ROWS: usize = 12;

/// Dot products of twelve rows, `(D) f32` each, with `panel (D, 16) f32`.
///
/// # Safety
/// - `dim` floats can be read from each of `rows`;
/// - `dim * 16` floats can be read from `panel`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) unsafe fn tile(rows: [*const f32; ROWS], panel: *const f32, dim: usize) -> [__m512; ROWS] {
    let mut sums = [_mm512_setzero_ps(); ROWS];
    for d in 0..dim {
        // SAFETY: `d < dim`, and the caller vouches for `dim` floats of each row, `dim * 16` of the panel.
        let lanes = unsafe { _mm512_loadu_ps(panel.add(d * WIDTH)) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            *sum = _mm512_fmadd_ps(_mm512_set1_ps(unsafe { *row.add(d) }), lanes, *sum);
        }
    }
    sums
}
