//! Unpacking of residual rows to one byte per component, for `maxsim` and `decompress`.
//!
//! A row's planes (`layout.rs`) become consecutive components. Each bucket, or each window's label
//! ([`crate::trellis_label`]), is replaced by its entry of a table of bytes.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

use crate::{CodecParams, Isa, RowCoding};

/// Bytes past an unpacked row that the AVX2 body may overwrite.
pub(super) const SLACK: usize = 32;

/// The component at each byte of a row that `isa` unpacks, empty at 0 bits; `None` for holes.
pub(super) fn order(isa: Isa, codec: &CodecParams) -> Vec<Option<usize>> {
    match (codec.nbits, isa) {
        (0, _) => Vec::new(),
        #[cfg(target_arch = "x86_64")]
        (nbits, Isa::Avx512) => avx512::order(nbits, codec.dim),
        _ => (0..codec.dim).map(Some).collect(),
    }
}

/// The byte that each bucket or label is replaced by.
pub(super) struct LevelTable {
    /// Bits of a component: 1, 2, 4 or 8.
    pub(super) nbits: u8,
    /// Whether rows are coded by a trellis: levels are named by windows instead of buckets.
    pub(super) trellis: bool,
    /// One byte per bucket or label; zeros after the last.
    pub(super) bytes: [u8; 256],
}

impl LevelTable {
    /// A table of levels, i8 in a byte.
    pub(super) fn levels(codec: &CodecParams) -> Self {
        Self::new(codec, |level| level as u8)
    }

    /// A table of differences between levels and `lowest`.
    pub(super) fn above(codec: &CodecParams, lowest: i8) -> Self {
        Self::new(codec, |level| level.wrapping_sub(lowest) as u8)
    }

    fn new(codec: &CodecParams, byte: impl Fn(i8) -> u8) -> Self {
        let mut bytes = [0u8; 256];
        bytes.iter_mut().zip(&codec.levels).for_each(|(out, &level)| *out = byte(level));
        Self { nbits: codec.nbits, trellis: matches!(codec.coding, RowCoding::Trellis { .. }), bytes }
    }
}
