//! Unpacking with AVX2: 32 components with one shift, one mask and one byte shuffle.

use super::{LevelTable, SLACK, portable};
use std::arch::x86_64::*;

/// Components that a register holds.
const STEP: usize = 32;

/// Unpacks row `t` of `rows (n, W) u8` into the first `D` bytes of `out`; what follows them, up to
/// [`SLACK`] bytes, is spoilt.
///
/// # Panics
/// If there is no such row, or `out` is shorter than `D + SLACK`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(in crate::cpu) fn unpack(table: &LevelTable, rows: &[u8], width: usize, t: usize, dim: usize, out: &mut [u8]) {
    assert!(out.len() >= dim + SLACK && width * 8 == dim * table.nbits as usize);
    let rows = &rows[t * width..];
    let row = &rows[..width];
    if table.nbits == 8 || width == 0 {
        return portable::unpack(table, row, &mut out[..dim]);
    }
    // The last, partial step of a row reads behind it, which at the end of the array needs a copy.
    let last = width / STEP * STEP;
    let mut copy = [0u8; STEP];
    let tail = if rows.len() < last + STEP {
        copy[..width - last].copy_from_slice(&row[last..]);
        copy.as_ptr()
    } else {
        rows[last..last + STEP].as_ptr()
    };
    // SAFETY: sixteen bytes of a table of 256.
    let lookup = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.bytes.as_ptr().cast()) });
    let mask = _mm256_set1_epi8(((1u16 << table.nbits) - 1) as i8);
    // Planes in ascending order: what a partial step spills is overwritten by the planes behind it.
    for plane in 0..8 / table.nbits as usize {
        let shift = _mm_cvtsi32_si128((plane * table.nbits as usize) as i32);
        for at in (0..width).step_by(STEP) {
            let source = if at == last { tail } else { row[at..].as_ptr() };
            // SAFETY: a full step lies within the row; the partial one is the copy, or lies within
            // the row and the bytes behind it. The store ends at most `SLACK` behind component `D`.
            unsafe {
                let packed = _mm256_srl_epi16(_mm256_loadu_si256(source.cast()), shift);
                let levels = _mm256_shuffle_epi8(lookup, _mm256_and_si256(packed, mask));
                _mm256_storeu_si256(out.as_mut_ptr().add(plane * width + at).cast(), levels);
            }
        }
    }
}
