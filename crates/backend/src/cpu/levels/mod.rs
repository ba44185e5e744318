//! Packed residual rows to one byte a component: the step that `maxsim` and `decompress` share.
//!
//! A row's planes (see [`crate::packed_row_bytes`]) come out as consecutive components, each bucket, or each
//! window's label ([`crate::trellis_label`]), replaced by its entry of a table of bytes.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

use crate::{CodecParams, Isa, RowCoding};

/// Bytes that an unpacked row may be followed by: what the widest store can spill.
pub(super) const SLACK: usize = 32;

/// The component at each byte of a row that `isa` unpacks, empty at 0 bits; none where there are holes.
pub(super) fn order(isa: Isa, codec: &CodecParams) -> Vec<Option<usize>> {
    match (codec.nbits, isa) {
        (0, _) => Vec::new(),
        #[cfg(target_arch = "x86_64")]
        (nbits, Isa::Avx512) => avx512::order(nbits, codec.dim),
        _ => (0..codec.dim).map(Some).collect(),
    }
}

/// What each bucket or label turns into.
pub(super) struct LevelTable {
    /// Bits of a component: 1, 2, 4 or 8.
    pub(super) nbits: u8,
    /// Whether windows name levels, not buckets.
    pub(super) trellis: bool,
    /// One byte for each bucket or label; zeros behind the last.
    pub(super) bytes: [u8; 256],
}

impl LevelTable {
    /// Levels as they are, i8 in a byte.
    pub(super) fn levels(codec: &CodecParams) -> Self {
        Self::new(codec, |level| level as u8)
    }

    /// How far levels lie above `lowest`.
    pub(super) fn above(codec: &CodecParams, lowest: i8) -> Self {
        Self::new(codec, |level| level.wrapping_sub(lowest) as u8)
    }

    fn new(codec: &CodecParams, byte: impl Fn(i8) -> u8) -> Self {
        let mut bytes = [0u8; 256];
        bytes.iter_mut().zip(&codec.levels).for_each(|(out, &level)| *out = byte(level));
        Self { nbits: codec.nbits, trellis: matches!(codec.coding, RowCoding::Trellis { .. }), bytes }
    }
}
