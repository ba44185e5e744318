//! `centroid_table` with AVX-512: `vpdpbusd` straight from the centroids' rows, eight at a time, taken as `c + 128`:
//! `dot(q, c) = dot(q, c + 128) - 128 * sum(q)`.

use super::Job;
use crate::{
    TABLE_LIMIT,
    cpu::{
        aligned::{LINE, prefetch},
        dots::avx512::{LANES, ROWS, as_signed, tile},
        passages::GROUP,
    },
};
use std::arch::x86_64::*;

/// Distance in rows at which centroids are prefetched, if they are larger than [`CACHED`].
const AHEAD: usize = 4 * ROWS;
/// Bytes of centroids that a last-level cache may hold: prefetching costs 5 % if it does (Zen 5, 8 MiB), and halves the
/// time if it does not (32 MiB).
const CACHED: usize = 1 << 23;

/// Rows of the centroids from `first` on -> `rows (n, stride) i32` and their maxima.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(job: &Job<'_>, first: usize, rows: &mut [i32], maxima: &mut [i32]) {
    let flip = as_signed();
    const { assert!(ROWS == GROUP) };
    let (centroids, dim) = (&job.codec.centroids, job.codec.dim);
    let groups = rows.chunks_mut(ROWS * job.stride).zip(maxima.chunks_mut(job.stride));
    for (group, (rows, maxima)) in groups.enumerate() {
        let first = first + group * ROWS;
        if centroids.len() > CACHED {
            let ahead = (first + AHEAD) * dim..(first + AHEAD + ROWS) * dim;
            centroids.get(ahead).unwrap_or_default().chunks(LINE).for_each(prefetch);
        }
        for panel in (0..job.panels.len()).step_by(2) {
            match job.panels.len() - panel {
                1 => fill::<1>(job, flip, first, panel, rows, maxima),
                _ => fill::<2>(job, flip, first, panel, rows, maxima),
            }
        }
    }
}

/// Entries of `V` panels for up to eight centroids from `first` on, and the largest of each column.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn fill<const V: usize>(
    job: &Job<'_>,
    flip: __m512i,
    first: usize,
    panel: usize,
    rows: &mut [i32],
    maxima: &mut [i32],
) {
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
    let products = unsafe {
        tile::<ROWS, V>(std::array::from_fn(centroid), job.panels.panels(panel, V).as_ptr(), dim, starts, flip, None)
    };
    let factor = _mm512_set1_ps(job.codec.table_factor());
    let limit = _mm512_set1_ps(TABLE_LIMIT as f32);
    let floor = _mm512_set1_ps(-TABLE_LIMIT as f32);
    let mut largest = [_mm512_set1_epi32(i32::MIN); V];
    for (row, products) in rows.chunks_exact_mut(job.stride).zip(products) {
        for ((out, product), largest) in row[panel * LANES..].chunks_mut(LANES).zip(products).zip(&mut largest) {
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(product), factor);
            let clamped = _mm512_max_ps(_mm512_min_ps(product, limit), floor);
            // The conversion rounds to nearest, ties to even.
            let entries = _mm512_cvtps_epi32(clamped);
            *largest = _mm512_max_epi32(*largest, entries);
            store(out, entries);
        }
    }
    for (out, largest) in maxima[panel * LANES..].chunks_mut(LANES).zip(largest) {
        store(out, largest);
    }
}

/// Writes as many lanes as `out` has, sixteen or eight.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn store(out: &mut [i32], lanes: __m512i) {
    match out.len() {
        // SAFETY: sixteen i32 are one register.
        LANES => unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), lanes) },
        // SAFETY: no more lanes are written than `out` has.
        num => unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), ((1u32 << num) - 1) as u16, lanes) },
    }
}
