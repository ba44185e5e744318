//! Unpacks sixteen packed numbers at a time with AVX-512: the codes and weight indices of a tile's tokens.
//!
//! Number `i` of a bit string is its bits `i * bits..(i + 1) * bits`, little-endian. Sixteen numbers fit into one
//! register of 64 bytes: `vpermb` moves the four bytes that hold each number into its lane, then a shift and a mask
//! extract it.

use std::arch::x86_64::*;

/// Numbers that one read unpacks.
pub(super) const NUM: usize = 16;

/// Maximum width in bits: up to seven bits of another number may precede it in its four bytes.
pub(super) const MAX_BITS: u32 = 25;

/// Unpacks numbers of one width.
#[derive(Clone, Copy)]
pub(super) struct BitUnpacker {
    bits: usize,
    /// First bit of number `i`, counted from the first bit of number 0: `i * bits`.
    starts: __m512i,
    mask: __m512i,
}

impl BitUnpacker {
    /// An unpacker for `bits` bits; `None` if they are more than [`MAX_BITS`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    pub(super) fn new(bits: u32) -> Option<Self> {
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        (bits <= MAX_BITS).then(|| Self {
            bits: bits as usize,
            starts: _mm512_mullo_epi32(lanes, _mm512_set1_epi32(bits as i32)),
            mask: _mm512_set1_epi32((1 << bits) - 1),
        })
    }

    /// Numbers `first..first + 16` of `bytes`; zeros after their end.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    pub(super) fn read(&self, bytes: &[u8], first: usize) -> __m512i {
        if self.bits == 0 {
            return _mm512_setzero_si512();
        }
        let bit = first * self.bits;
        let rest = bytes.get(bit / 8..).unwrap_or_default();
        // SAFETY: only bytes within the slice are read. (Masked loads are used at the end only, because a masked load
        // that touches an unmapped page costs hundreds of cycles.)
        let bytes = unsafe {
            if rest.len() < 64 {
                _mm512_maskz_loadu_epi8((1u64 << rest.len()) - 1, rest.as_ptr().cast())
            } else {
                _mm512_loadu_si512(rest.as_ptr().cast())
            }
        };
        let at = _mm512_add_epi32(self.starts, _mm512_set1_epi32((bit % 8) as i32));
        // The last number begins at most at bit `7 + 15 * 25` and ends within byte 51.
        let byte = _mm512_mullo_epi32(_mm512_srli_epi32::<3>(at), _mm512_set1_epi32(0x0101_0101));
        let four = _mm512_permutexvar_epi8(_mm512_add_epi32(byte, _mm512_set1_epi32(0x0302_0100)), bytes);
        _mm512_and_si512(_mm512_srlv_epi32(four, _mm512_and_si512(at, _mm512_set1_epi32(7))), self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodeReader, Isa, pack_codes};

    #[test]
    fn numbers_of_every_width_come_back() {
        if !Isa::Avx512.is_available() {
            eprintln!("skipped: no AVX-512 here");
            return;
        }
        for bits in 0..=MAX_BITS {
            let codes: Vec<u32> = (0..77u32).map(|i| i.wrapping_mul(2_654_435_761) & ((1 << bits) - 1)).collect();
            let bytes = pack_codes(&codes, bits);
            let reader = CodeReader::new(&bytes, bits);
            for first in 0..=codes.len() {
                let mut read = [0u32; NUM];
                // SAFETY: this machine has AVX-512, and sixteen u32 are one register.
                unsafe {
                    let unpacker = BitUnpacker::new(bits).expect("narrow");
                    _mm512_storeu_si512(read.as_mut_ptr().cast(), unpacker.read(&bytes, first));
                }
                let num = NUM.min(codes.len() - first);
                assert_eq!(read[..num], codes[first..first + num], "{bits} bits from {first}");
                assert!((0..num).all(|i| read[i] == reader.get(first + i)));
            }
        }
        // SAFETY: this machine has AVX-512.
        assert!(unsafe { BitUnpacker::new(MAX_BITS + 1) }.is_none());
    }
}
