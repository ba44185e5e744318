//! Dot products of up to six rows with eight or sixteen outputs at a time. `vpdpbusd` in registers of 32
//! bytes adds four products of an unsigned and a signed byte to an i32 lane, exactly. One such instruction
//! does half the work of one on 64 bytes, and the work of three of AVX2 (`vpmaddubsw`, `vpmaddwd`, `vpaddd`).
//!
//! Six rows and sixteen outputs take twelve registers of sums, whose chains hide a latency of five cycles,
//! two registers of the panels and one to broadcast into. Sums in i32: at most `D * 127 * 255 < 2^30` for `D
//! <= 2^15`; their initial values are within `D * 127 * 128 < 2^29`.

use crate::cpu::passages::LANES;
use std::arch::x86_64::*;

/// Maximum number of rows of a tile.
pub(in crate::cpu) const ROWS: usize = 6;

/// `start` plus the dot products of the rows' unsigned bytes with `V` panels. Prefetches the bytes of one panel from
/// `ahead` on.
///
/// # Safety
/// - `width` bytes can be read from each of `rows`;
/// - `V` panels of `8 * width` bytes can be read from `panels`.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
pub(in crate::cpu) unsafe fn tile<const R: usize, const V: usize>(
    rows: [*const u8; R],
    panels: *const i8,
    width: usize,
    start: [__m256i; V],
    ahead: *const i8,
) -> [[__m256i; V]; R] {
    let mut sums = [start; R];
    for d in (0..width).step_by(4) {
        // SAFETY: `d + 4 <= width`, so `LANES * d + 32 <= LANES * width`.
        let panel = |v: usize| unsafe { _mm256_loadu_si256(panels.add(LANES * (v * width + d)).cast()) };
        let weights: [__m256i; V] = std::array::from_fn(panel);
        _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(LANES * d));
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: `d + 4 <= width`.
            let four = _mm256_set1_epi32(unsafe { row.add(d).cast::<i32>().read_unaligned() });
            for (sum, &weights) in sums.iter_mut().zip(&weights) {
                *sum = _mm256_dpbusd_avx_epi32(*sum, four, weights);
            }
        }
    }
    sums
}
