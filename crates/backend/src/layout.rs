//! How codes, residuals and scale indices lie in memory and on disk: the one place that knows.
//!
//! - **Residual row**, `W = D * nbits / 8` bytes: the row is cut into `8 / nbits` planes of `W`
//!   components; byte `j`, bits `k*nbits .. (k+1)*nbits` (from the low end) holds the bucket of
//!   component `k * W + j`. One shift and one mask of a whole register give consecutive components.
//! - **Codes**: `code_bits` each, little-endian bit order, one after the other, then
//!   [`CODE_PADDING`] zero bytes, so that any code can be read with one 8-byte load.
//! - **Scale indices**: `scale_bits` (0, 4 or 8) each; at 4 bits the even token is the low half.

/// Zero bytes behind the packed codes.
pub const CODE_PADDING: usize = 8;

/// Packed residual bytes of one vector, `W = D * nbits / 8`.
pub fn packed_row_bytes(dim: usize, nbits: u8) -> usize {
    dim * nbits as usize / 8
}

/// Bytes of `num` packed codes, padding included.
pub fn packed_codes_bytes(num: usize, code_bits: u32) -> usize {
    (num * code_bits as usize).div_ceil(8) + CODE_PADDING
}

/// Bytes of `num` packed scale indices.
pub fn packed_scales_bytes(num: usize, scale_bits: u8) -> usize {
    (num * scale_bits as usize).div_ceil(8)
}

/// Scale index of token `t`.
#[inline]
pub fn read_scale(scales: &[u8], scale_bits: u8, t: usize) -> usize {
    match scale_bits {
        0 => 0,
        4 => (scales[t / 2] >> (4 * (t & 1)) & 15) as usize,
        _ => scales[t] as usize,
    }
}

/// Packs `codes (N) u32` to `code_bits` each.
///
/// # Panics
/// If a code needs more bits.
pub fn pack_codes(codes: &[u32], code_bits: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; packed_codes_bytes(codes.len(), code_bits)];
    for (i, &code) in codes.iter().enumerate() {
        assert!(u64::from(code) >> code_bits == 0, "code {code} does not fit {code_bits} bits");
        let bit = i * code_bits as usize;
        let at = bit / 8;
        let word =
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) | u64::from(code) << (bit % 8);
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Reads packed codes by number.
#[derive(Clone, Copy, Debug)]
pub struct CodeReader<'a> {
    bytes: &'a [u8],
    code_bits: usize,
    mask: u64,
}

impl<'a> CodeReader<'a> {
    /// A reader over what [`pack_codes`] made.
    pub fn new(bytes: &'a [u8], code_bits: u32) -> Self {
        Self { bytes, code_bits: code_bits as usize, mask: (1u64 << code_bits) - 1 }
    }

    /// Code number `i`.
    #[inline]
    pub fn get(&self, i: usize) -> u32 {
        let bit = i * self.code_bits;
        let at = bit / 8;
        let word = u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"));
        (word >> (bit % 8) & self.mask) as u32
    }
}

#[cfg(test)]
mod tests;
