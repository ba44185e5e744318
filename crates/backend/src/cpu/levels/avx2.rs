//! Unpacking with AVX2, 32 components at a time: buckets with a shift, a mask and a byte shuffle, windows of
//! a trellis with about nine more instructions. With 32 query tokens `maxsim` of a trellis reaches 0.95 of
//! its throughput with buckets at 2 bits, and 0.81 at 1 bit, where rows of 128 components fill half a
//! register.

use super::{LevelTable, SLACK, portable};
use std::arch::x86_64::*;

/// Components that a register holds.
const STEP: usize = 32;

/// A packed row in steps of [`STEP`] bytes, one register each.
struct Steps<'a> {
    row: &'a [u8],
    /// Start of the last step, which may be partial.
    last: usize,
    /// The [`STEP`] bytes that the last step reads: bytes of the row, then arbitrary ones.
    tail: *const u8,
}

impl Steps<'_> {
    /// The step at byte `at`.
    ///
    /// # Safety
    /// `at` is a multiple of [`STEP`] up to `last`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn bytes(&self, at: usize) -> __m256i {
        let source = if at == self.last { self.tail } else { self.row[at..].as_ptr() };
        // SAFETY: a full step is within the row, the last one at `tail`.
        unsafe { _mm256_loadu_si256(source.cast()) }
    }

    /// The bytes that follow [`Self::bytes`]; the row's first byte follows its last.
    ///
    /// # Safety
    /// As for [`Self::bytes`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn following(&self, at: usize, bytes: __m256i) -> __m256i {
        if at < self.last {
            // SAFETY: the row has at least one byte after this step, so 32 from `at + 1` on.
            return unsafe { _mm256_loadu_si256(self.row[at + 1..].as_ptr().cast()) };
        }
        let rotated = _mm256_alignr_epi8::<1>(_mm256_permute2x128_si256::<1>(bytes, bytes), bytes);
        let first = _mm256_set1_epi8(self.row[0] as i8);
        // SAFETY: the last step has 1 to 32 bytes, so the load starts at 0 to 31 of 63 bytes.
        let is_last = unsafe { _mm256_loadu_si256(LAST[self.last + STEP - self.row.len()..].as_ptr().cast()) };
        _mm256_blendv_epi8(rotated, first, is_last)
    }
}

/// Masks of the last byte of a step of `n` bytes: of the 32 bytes from `STEP - n` on, only byte `n - 1` is set.
const LAST: [u8; 2 * STEP - 1] = {
    let mut mask = [0; 2 * STEP - 1];
    mask[STEP - 1] = 0xff;
    mask
};

/// Unpacks row `t` of `rows (n, W) u8` into the first `D` bytes of `out`; up to [`SLACK`] bytes after them
/// are overwritten.
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
    // The last step reads 32 bytes even if fewer of the row remain. At the end of the array it reads a copy.
    let last = (width - 1) / STEP * STEP;
    let mut copy = [0u8; STEP];
    let tail = if rows.len() < last + STEP {
        copy[..width - last].copy_from_slice(&row[last..]);
        copy.as_ptr()
    } else {
        rows[last..last + STEP].as_ptr()
    };
    let steps = Steps { row, last, tail };
    // SAFETY: sixteen bytes of a table of 256.
    let lookup = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.bytes.as_ptr().cast()) });
    let mask = _mm256_set1_epi8(if table.trellis { 15 } else { (1 << table.nbits) - 1 });
    let far_shift = _mm_cvtsi32_si128(8 - i32::from(table.nbits));
    let far_mask = _mm256_set1_epi8((1 << table.nbits) - 1);
    // The last step first, planes in ascending order: the bytes that a partial step writes into the next plane are
    // overwritten later.
    for at in (0..width).step_by(STEP).rev() {
        // SAFETY: `at` is a multiple of `STEP` up to `last`.
        let bytes = unsafe { steps.bytes(at) };
        // SAFETY: the same.
        let following = if table.trellis { unsafe { steps.following(at, bytes) } } else { bytes };
        for plane in 0..8 / table.nbits as usize {
            let bit = plane * table.nbits as usize;
            let mut names = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(bit as i32));
            if table.trellis {
                let window = window(names, following, bit);
                let far = _mm256_and_si256(_mm256_srl_epi16(window, far_shift), far_mask);
                names = _mm256_xor_si256(_mm256_xor_si256(window, _mm256_srli_epi16::<1>(window)), far);
            }
            let levels = _mm256_shuffle_epi8(lookup, _mm256_and_si256(names, mask));
            // SAFETY: the store ends at most `SLACK` bytes after component `D`.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(plane * width + at).cast(), levels) };
        }
    }
}

/// Windows that begin at bit `bit` of each byte: the byte's upper bits, then the lowest `bit` bits of the byte that
/// follows. `shifted` holds the bytes shifted right by `bit` as 16-bit words, so bits of a neighbouring byte are above
/// the byte's own and are masked out.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn window(shifted: __m256i, following: __m256i, bit: usize) -> __m256i {
    let own = _mm256_set1_epi8((0xff >> bit) as u8 as i8);
    let above = _mm256_sll_epi16(following, _mm_cvtsi32_si128(8 - bit as i32));
    _mm256_or_si256(_mm256_and_si256(own, shifted), _mm256_andnot_si256(own, above))
}
