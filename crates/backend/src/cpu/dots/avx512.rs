//! Eight rows by sixteen or thirty-two query tokens with `vpdpbusd`: four products of an unsigned and a signed byte,
//! added to an i32 lane, exact. A row's bytes `u` are the unsigned ones, within 0..=255, so a signed component `w`
//! has to come as `u = w - lowest`, and `dot(q, w) = dot(q, u) + lowest * sum(q)` is the caller's affair.
//!
//! Sums in i32: at most `D * 127 * 255 < 2^31` for `D <= 2^15`.
//!
//! Eight chains of additions hide the latency of four cycles; wider tiles were no faster on Zen 4, where a register
//! of 64 bytes takes one multiplication a cycle: 64 multiply-adds, four times those of f32.
//! Zen 5 takes two: there two panels, ten loads for sixteen products, made `maxsim` 1.21 to 1.24 times as fast as one at
//! a time, nine loads for eight (1 to 4 bits, 32 query tokens).

use std::arch::x86_64::*;

/// Rows of a tile.
pub(in crate::cpu) const ROWS: usize = 8;
/// Query tokens in a panel.
pub(in crate::cpu) const LANES: usize = 16;

/// Dot products of `R` rows with `V` panels.
pub(in crate::cpu) type Tile<const R: usize, const V: usize> = [[__m512i; V]; R];

/// What makes [`tile`] take a row's bytes as they are.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) fn as_unsigned() -> __m512i {
    _mm512_setzero_si512()
}

/// What makes [`tile`] take a row's signed bytes `w` as `w + 128`. LLVM 22 never ends where it sees this constant flow
/// into `vpdpbusd`, so it must not.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) fn as_signed() -> __m512i {
    std::hint::black_box(_mm512_set1_epi8(i8::MIN))
}

/// `start` plus the dot products of the rows' bytes, each with the bits of `flip` changed, with `V` panels. On the way as many
/// bytes as a panel has are asked for from `ahead` on.
///
/// # Safety
/// - `width` bytes can be read from each of `rows`;
/// - `V` panels of `16 * width` bytes can be read from `panels`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) unsafe fn tile<const R: usize, const V: usize>(
    rows: [*const u8; R],
    panels: *const i8,
    width: usize,
    start: [__m512i; V],
    flip: __m512i,
    ahead: Option<*const i8>,
) -> Tile<R, V> {
    let mut sums = [start; R];
    for d in (0..width).step_by(4) {
        // SAFETY: `d + 4 <= width`, so `LANES * d + 64 <= LANES * width`.
        let panel = |v: usize| unsafe { _mm512_loadu_si512(panels.add(LANES * (v * width + d)).cast()) };
        let queries: [__m512i; V] = std::array::from_fn(panel);
        if let Some(ahead) = ahead {
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(LANES * d));
        }
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: `d + 4 <= width`.
            let four = _mm512_set1_epi32(unsafe { row.add(d).cast::<i32>().read_unaligned() });
            let four = _mm512_xor_si512(four, flip);
            for (sum, &query) in sums.iter_mut().zip(&queries) {
                *sum = _mm512_dpbusd_epi32(*sum, four, query);
            }
        }
    }
    sums
}
