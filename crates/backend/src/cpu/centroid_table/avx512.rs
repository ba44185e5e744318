//! `centroid_table` with AVX-512: `vpdpbusd` straight from the centroids' rows, eight at a time, taken as `c + 128`:
//! `dot(q, c) = dot(q, c + 128) - 128 * sum(q)`.

use super::{Job, maximize};
use crate::{
    TABLE_LIMIT,
    cpu::dots::avx512::{LANES, ROWS, as_signed, tile},
};
use std::arch::x86_64::*;

/// Rows of the centroids from `first` on -> `rows (n, stride) i32` and their maxima.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(job: &Job<'_>, first: usize, rows: &mut [i32], maxima: &mut [i32]) {
    let flip = as_signed();
    for (group, rows) in rows.chunks_mut(ROWS * job.stride).enumerate() {
        let first = first + group * ROWS;
        for panel in (0..job.panels.len()).step_by(2) {
            match job.panels.len() - panel {
                1 => fill::<1>(job, flip, first, panel, rows),
                _ => fill::<2>(job, flip, first, panel, rows),
            }
        }
    }
    maximize(job.stride, rows, maxima);
}

/// Entries of `V` panels for up to eight centroids from `first` on.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn fill<const V: usize>(job: &Job<'_>, flip: __m512i, first: usize, panel: usize, rows: &mut [i32]) {
    let dim = job.codec.dim;
    let last = rows.len() / job.stride - 1;
    let centroid = |r: usize| job.codec.centroids[(first + r.min(last)) * dim..][..dim].as_ptr().cast();
    let start = |v: usize| {
        let sums: &[i32; LANES] = job.panels.sums(panel + v).try_into().expect("whole panels");
        // SAFETY: sixteen i32 are one register.
        let sums = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
        _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
    };
    let starts: [__m512i; V] = std::array::from_fn(start);
    // SAFETY: each row is a slice of `dim` bytes; a panel has `16 * dim`.
    let products =
        unsafe { tile(std::array::from_fn(centroid), job.panels.panels(panel, V).as_ptr(), dim, starts, flip) };
    let factor = _mm512_set1_ps(job.codec.table_factor());
    let limit = _mm512_set1_ps(TABLE_LIMIT as f32);
    let floor = _mm512_set1_ps(-TABLE_LIMIT as f32);
    for (row, products) in rows.chunks_exact_mut(job.stride).zip(products) {
        for (out, product) in row[panel * LANES..].chunks_mut(LANES).zip(products) {
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(product), factor);
            let clamped = _mm512_max_ps(_mm512_min_ps(product, limit), floor);
            let mask = ((1u32 << out.len()) - 1) as u16;
            // SAFETY: no more lanes are written than `out` has. The conversion rounds to nearest, ties to even.
            unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), mask, _mm512_cvtps_epi32(clamped)) };
        }
    }
}
