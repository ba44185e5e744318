//! Dot products of up to twelve rows with one or two panels of sixteen. Each is the same chain of additions
//! as with AVX2, so it has the same bits.
//!
//! Per component of twelve rows by sixteen: 12 FMA (6 cycles on two ports, 12 on one) and 13 loads (6.5 cycles on two
//! ports); by thirty-two: 24 FMA (12 or 24) and 14 loads (7).

use super::WIDTH;
use std::arch::x86_64::*;

/// Maximum number of rows of a tile.
pub(in crate::cpu) const ROWS: usize = 12;

/// Dot products of `R` rows, `(D) f32` each, with `V` panels `(D, 16) f32`. Prefetches the lines of one panel from
/// `ahead` on.
///
/// # Safety
/// - `dim` floats can be read from each of `rows`;
/// - `V * dim * 16` floats can be read from `panels`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) unsafe fn tile<const R: usize, const V: usize>(
    rows: [*const f32; R],
    panels: *const f32,
    dim: usize,
    ahead: Option<*const f32>,
) -> [[__m512; V]; R] {
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    for d in 0..dim {
        // SAFETY: `d < dim`, and the caller vouches for `dim * 16` floats of each panel.
        let lanes: [__m512; V] = std::array::from_fn(|v| unsafe { _mm512_loadu_ps(panels.add((v * dim + d) * WIDTH)) });
        if let Some(ahead) = ahead {
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(d * WIDTH).cast());
        }
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: `d < dim`, and the caller vouches for `dim` floats of each row.
            let x = _mm512_set1_ps(unsafe { *row.add(d) });
            for (sum, lanes) in sums.iter_mut().zip(lanes) {
                *sum = _mm512_fmadd_ps(x, lanes, *sum);
            }
        }
    }
    sums
}
