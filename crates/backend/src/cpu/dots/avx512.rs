//! Dot products of eight rows with sixteen or thirty-two query tokens at a time. `vpdpbusd` adds four
//! products of an unsigned and a signed byte to an i32 lane, exactly. A row's bytes `u` are the unsigned
//! ones, within 0..=255: a signed component `w` is passed as `u = w - lowest`, and the caller adds the second
//! term of `dot(q, w) = dot(q, u) + lowest * sum(q)`.
//!
//! Sums in i32: at most `D * 127 * 255 < 2^31` for `D <= 2^15`.
//!
//! Eight chains of additions hide the latency of four cycles. Zen 4 starts one multiplication of 64 bytes per
//! cycle, which is 64 multiply-adds, four times as many as in f32; wider tiles were no faster there. Zen 5
//! starts two per cycle: there `maxsim` was 1.21 to 1.24 times as fast with two panels at a time (ten loads
//! for sixteen products) as with one (nine loads for eight products), at 1 to 4 bits and 32 query tokens.

use std::arch::x86_64::*;

/// Rows of a tile.
pub(in crate::cpu) const ROWS: usize = 8;
/// Query tokens in a panel.
pub(in crate::cpu) const LANES: usize = 16;

/// Dot products of `R` rows with `V` panels.
pub(in crate::cpu) type Tile<const R: usize, const V: usize> = [[__m512i; V]; R];

/// Value of `flip` with which [`tile`] reads bytes of rows unchanged.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) fn as_unsigned() -> __m512i {
    _mm512_setzero_si512()
}

/// Value of `flip` with which [`tile`] reads signed bytes `w` of rows as `w + 128`. It is hidden from the optimizer,
/// because LLVM 22 hangs when it propagates this constant into `vpdpbusd`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(in crate::cpu) fn as_signed() -> __m512i {
    std::hint::black_box(_mm512_set1_epi8(i8::MIN))
}

/// `start` plus the dot products of the rows' bytes, each XOR `flip`, with `V` panels. Prefetches the bytes of one
/// panel from `ahead` on.
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
