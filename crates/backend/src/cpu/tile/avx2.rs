//! Dot products of up to six rows with a panel of sixteen. Six rows take twelve registers of sums, two of the
//! panel and two to broadcast into.
//!
//! Per component: 12 FMA (6 cycles on two ports), 2 loads and 6 broadcasts (4 cycles on two ports).

use super::WIDTH;
use std::arch::x86_64::*;

/// Maximum number of rows of a tile.
pub(in crate::cpu) const ROWS: usize = 6;

/// Dot products of `R` rows, `(D) f32` each, with `panel (D, 16) f32`. Prefetches the lines of one panel from `ahead`
/// on.
///
/// # Safety
/// - `dim` floats can be read from each of `rows`;
/// - `dim * 16` floats can be read from `panel`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(in crate::cpu) unsafe fn tile<const R: usize>(
    rows: [*const f32; R],
    panel: *const f32,
    dim: usize,
    ahead: Option<*const f32>,
) -> [[__m256; 2]; R] {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for d in 0..dim {
        // SAFETY: `d < dim`, and the caller vouches for `dim` floats of each row, `dim * 16` of the panel.
        let (low, high) =
            unsafe { (_mm256_loadu_ps(panel.add(d * WIDTH)), _mm256_loadu_ps(panel.add(d * WIDTH + WIDTH / 2))) };
        if let Some(ahead) = ahead {
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(d * WIDTH).cast());
        }
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let x = _mm256_set1_ps(unsafe { *row.add(d) });
            sums[0] = _mm256_fmadd_ps(x, low, sums[0]);
            sums[1] = _mm256_fmadd_ps(x, high, sums[1]);
        }
    }
    sums
}
