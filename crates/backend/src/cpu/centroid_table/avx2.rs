//! `centroid_table` with AVX2: the signed int8 kernel, straight from the centroids' rows.

use super::{Job, maximize};
use crate::{
    TABLE_LIMIT,
    cpu::{
        dots::avx2::{ROWS, Tile, signed},
        passages::LANES,
    },
};
use std::arch::x86_64::*;

/// Rows of the centroids from `first` on -> `rows (n, stride) i32` and their maxima.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(job: &Job<'_>, first: usize, rows: &mut [i32], maxima: &mut [i32]) {
    for (group, rows) in rows.chunks_mut(ROWS * job.stride).enumerate() {
        for panel in (0..job.panels.len()).step_by(2) {
            match job.panels.len() - panel {
                1 => fill::<1>(job, first + group * ROWS, panel, rows),
                _ => fill::<2>(job, first + group * ROWS, panel, rows),
            }
        }
    }
    maximize(job.stride, rows, maxima);
}

/// Entries of `V` panels for up to four centroids from `first` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn fill<const V: usize>(job: &Job<'_>, first: usize, panel: usize, rows: &mut [i32]) {
    let dim = job.codec.dim;
    let panels = job.panels.panels(panel, V);
    let last = rows.len() / job.stride - 1;
    let centroid = |r: usize| job.codec.centroids[(first + r.min(last)) * dim..][..dim].as_ptr().cast();
    // SAFETY: each row is a slice of `dim` bytes, none -128 in a valid codec; `panels` are `V` of `8 * dim`.
    let products: Tile<V> = unsafe { signed(std::array::from_fn(centroid), panels.as_ptr(), LANES * dim, dim) };
    let factor = _mm256_set1_ps(job.codec.table_factor());
    let limit = _mm256_set1_ps(TABLE_LIMIT as f32);
    let floor = _mm256_set1_ps(-TABLE_LIMIT as f32);
    for (row, products) in rows.chunks_exact_mut(job.stride).zip(products) {
        for (out, product) in row[panel * LANES..].chunks_exact_mut(LANES).zip(products) {
            let product = _mm256_mul_ps(_mm256_cvtepi32_ps(product), factor);
            let clamped = _mm256_max_ps(_mm256_min_ps(product, limit), floor);
            // SAFETY: `out` is one register long. The conversion rounds to nearest, ties to even.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_cvtps_epi32(clamped)) };
        }
    }
}
