//! Layout of codes, residuals and weight indices in memory and on disk, defined here only.
//!
//! - **Residual row**, `W = D * nbits / 8` bytes: the components are divided into `8 / nbits` planes of `W`;
//!   bits `k * nbits .. (k + 1) * nbits` of byte `j`, from the low end, hold the bucket of component `k * W + j`. One
//!   shift and one mask of a whole register give consecutive components.
//! - **Residual row of a trellis**: the same bytes, read as a ring of `8 W` bits, low end first. The window of
//!   component `k * W + j` is the 8 bits from bit `8 j + k * nbits` on, the component's own first. It names the
//!   component's level: [`trellis_label`].
//! - **Codes**: `code_bits` each, little-endian bit order, one after the other, then
//!   [`CODE_PADDING`] zero bytes, so that any code can be read with one 8-byte load.
//! - **Weight indices**: `weight_bits` (at most 8) each, in the same bit order, without padding.

/// Zero bytes after the packed codes.
pub const CODE_PADDING: usize = 8;

/// Packed residual bytes of one vector, `W = D * nbits / 8`.
pub fn packed_row_bytes(dim: usize, nbits: u8) -> usize {
    dim * nbits as usize / 8
}

/// Bucket of component `d` of a packed row.
#[inline]
pub fn bucket(row: &[u8], nbits: u8, d: usize) -> u8 {
    let (plane, byte) = (d / row.len(), d % row.len());
    row[byte] >> (plane * nbits as usize) & ((1u16 << nbits) - 1) as u8
}

/// Label of component `d` of a packed trellis row, for its window `w`:
/// `(w ^ w >> 1 ^ w >> (8 - nbits)) & 15`.
#[inline]
pub fn trellis_label(row: &[u8], nbits: u8, d: usize) -> u8 {
    let (plane, byte) = (d / row.len(), d % row.len());
    let ring = u16::from_le_bytes([row[byte], row[(byte + 1) % row.len()]]);
    window_label((ring >> (plane * nbits as usize)) as u8, nbits)
}

/// The label that a window of 8 bits names.
#[inline(always)]
pub(crate) fn window_label(window: u8, nbits: u8) -> u8 {
    (window ^ window >> 1 ^ window >> (8 - nbits)) & 15
}

/// Bytes of `num` packed codes, padding included.
pub fn packed_codes_bytes(num: usize, code_bits: u32) -> usize {
    (num * code_bits as usize).div_ceil(8) + CODE_PADDING
}

/// Bytes of `num` packed weight indices.
pub fn packed_weights_bytes(num: usize, weight_bits: u8) -> usize {
    (num * weight_bits as usize).div_ceil(8)
}

/// Packs weight indices `(N) u8` to `weight_bits` bits each.
///
/// # Panics
/// If an index needs more bits.
pub fn pack_weights(weights: &[u8], weight_bits: u8) -> Vec<u8> {
    let mut bytes = vec![0u8; packed_weights_bytes(weights.len(), weight_bits)];
    for (t, &weight) in weights.iter().enumerate() {
        assert!(u32::from(weight) >> weight_bits == 0, "weight index {weight} does not fit {weight_bits} bits");
        let bit = t * weight_bits as usize;
        let [low, high] = (u16::from(weight) << (bit % 8)).to_le_bytes();
        if weight_bits > 0 {
            bytes[bit / 8] |= low;
        }
        if high != 0 {
            bytes[bit / 8 + 1] |= high;
        }
    }
    bytes
}

/// Weight index of token `t`, from indices that [`pack_weights`] packed.
///
/// # Panics
/// If the bytes end before the index.
#[inline]
pub fn read_weight(weights: &[u8], weight_bits: u8, t: usize) -> usize {
    if weight_bits == 0 {
        return 0;
    }
    let bit = t * weight_bits as usize;
    let pair = u16::from_le_bytes([weights[bit / 8], weights.get(bit / 8 + 1).copied().unwrap_or(0)]);
    (pair >> (bit % 8) & ((1 << weight_bits) - 1)) as usize
}

/// Packs `codes (N) u32` to `code_bits` bits each, at most 32.
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

/// Random access to packed codes.
#[derive(Clone, Copy, Debug)]
pub struct CodeReader<'a> {
    bytes: &'a [u8],
    code_bits: usize,
    mask: u64,
}

impl<'a> CodeReader<'a> {
    /// A reader of bytes that [`pack_codes`] made.
    pub fn new(bytes: &'a [u8], code_bits: u32) -> Self {
        Self { bytes, code_bits: code_bits as usize, mask: (1u64 << code_bits) - 1 }
    }

    /// Code number `i`.
    ///
    /// # Panics
    /// If the bytes end before the code and its padding.
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
