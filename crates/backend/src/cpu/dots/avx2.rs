//! Dot products of four rows with eight or sixteen query tokens at a time, with three ways to multiply bytes.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and adds neighbours with saturation to i16. Query
//! components `q` are within -127..=127.
//!
//! - [`signed`]: components `w` of a row are within -127..=127. `|w| * (q with the sign of w) = w q`,
//!   and a pair of them is at most `2 * 127 * 127 = 32258 < 32767`: exact. Four instructions.
//! - [`unsigned`]: components `u` of a row are within `0..=span`. `steps` pairs are added up as i16. Their
//!   sum is at most `steps * 2 * 127 * span <= 32767` (see [`steps`]): exact. Two instructions, and two more
//!   every `steps`.
//! - [`narrow`]: components `u` of a row are within `0..=255`, and two neighbouring components of a panel that have one
//!   sign add up to at most 128: a pair is at most `255 * 128 = 32640 <= 32767`: exact. Three instructions.
//!
//! Sums in i32: at most `D * 127 * 255 < 2^30` for `D <= 2^15`; their initial values are within `D * 127 * 128 < 2^29`.

use crate::cpu::passages::LANES;
use std::arch::x86_64::*;

/// Rows of a tile.
pub(in crate::cpu) const ROWS: usize = 4;

/// Dot products of a tile's rows with `V` panels.
pub(in crate::cpu) type Tile<const V: usize> = [[__m256i; V]; ROWS];

/// Number of pairs of products whose sum fits an i16, for row components within `0..=span`; zero if not even
/// one pair fits.
pub(in crate::cpu) fn steps(span: u8) -> usize {
    i16::MAX as usize / (2 * 127 * (span as usize).max(1))
}

/// Four components of a row in every lane.
///
/// # Safety
/// Four bytes can be read from `row`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn broadcast(row: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    _mm256_set1_epi32(unsafe { row.cast::<i32>().read_unaligned() })
}

/// Dot products of rows of signed bytes; see the module's docs.
///
/// # Safety
/// - `dim` bytes can be read from each of `rows`, none of them -128;
/// - `V` panels of `stride` bytes can be read from `panels`, and `8 * dim <= stride`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(in crate::cpu) unsafe fn signed<const V: usize>(
    rows: [*const u8; ROWS],
    panels: *const i8,
    stride: usize,
    dim: usize,
) -> Tile<V> {
    let mut sums = [[_mm256_setzero_si256(); V]; ROWS];
    let ones = _mm256_set1_epi16(1);
    for d in (0..dim).step_by(4) {
        let mut query = [_mm256_setzero_si256(); V];
        for (v, query) in query.iter_mut().enumerate() {
            // SAFETY: `d + 4 <= dim`, so `LANES * d + 32 <= stride`.
            *query = unsafe { _mm256_loadu_si256(panels.add(v * stride + LANES * d).cast()) };
        }
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: `d + 4 <= dim`.
            let levels = unsafe { broadcast(row.add(d)) };
            let size = _mm256_abs_epi8(levels);
            for (sum, &query) in sums.iter_mut().zip(&query) {
                let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(query, levels));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    sums
}

/// Dot products of rows of unsigned bytes, widened every `steps`; see the module's docs.
///
/// # Safety
/// - `dim` bytes can be read from each of `rows`, none above the `span` of which `steps` was computed, and
///   `steps > 0`;
/// - `V` panels of `stride` bytes can be read from `panels`, and `8 * dim <= stride`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(in crate::cpu) unsafe fn unsigned<const V: usize>(
    rows: [*const u8; ROWS],
    panels: *const i8,
    stride: usize,
    dim: usize,
    steps: usize,
) -> Tile<V> {
    let mut sums = [[_mm256_setzero_si256(); V]; ROWS];
    let ones = _mm256_set1_epi16(1);
    let mut start = 0;
    while start < dim {
        let end = dim.min(start + 4 * steps);
        let mut pairs = [[_mm256_setzero_si256(); V]; ROWS];
        for d in (start..end).step_by(4) {
            let mut query = [_mm256_setzero_si256(); V];
            for (v, query) in query.iter_mut().enumerate() {
                // SAFETY: `d + 4 <= dim`, so `LANES * d + 32 <= stride`.
                *query = unsafe { _mm256_loadu_si256(panels.add(v * stride + LANES * d).cast()) };
            }
            for (pairs, row) in pairs.iter_mut().zip(rows) {
                // SAFETY: `d + 4 <= dim`.
                let levels = unsafe { broadcast(row.add(d)) };
                for (pair, &query) in pairs.iter_mut().zip(&query) {
                    *pair = _mm256_add_epi16(*pair, _mm256_maddubs_epi16(levels, query));
                }
            }
        }
        for (sums, pairs) in sums.iter_mut().zip(pairs) {
            for (sum, pair) in sums.iter_mut().zip(pairs) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, ones));
            }
        }
        start = end;
    }
    sums
}

/// `start` plus the dot products of rows of unsigned bytes with narrow panels. Prefetches the bytes of one panel from
/// `ahead` on. Precondition on values (see the module docs): violating it gives wrong sums, not undefined behaviour.
///
/// # Safety
/// - `width` bytes can be read from each of `rows`;
/// - `V` panels of `8 * width` bytes can be read from `panels`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(in crate::cpu) unsafe fn narrow<const V: usize>(
    rows: [*const u8; ROWS],
    panels: *const i8,
    width: usize,
    start: [__m256i; V],
    ahead: *const i8,
) -> Tile<V> {
    let mut sums = [start; ROWS];
    let ones = _mm256_set1_epi16(1);
    for d in (0..width).step_by(4) {
        // SAFETY: `d + 4 <= width`, so `LANES * d + 32 <= LANES * width`.
        let panel = |v: usize| unsafe { _mm256_loadu_si256(panels.add(LANES * (v * width + d)).cast()) };
        let weights: [__m256i; V] = std::array::from_fn(panel);
        _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(LANES * d));
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: `d + 4 <= width`.
            let four = unsafe { broadcast(row.add(d)) };
            for (sum, &weights) in sums.iter_mut().zip(&weights) {
                let pairs = _mm256_maddubs_epi16(four, weights);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    sums
}
