//! Compressed embeddings as bytes, with their shapes: the output of a build, and the passages of a segment.

use crate::{CodecSizes, Error, Result, layout};
use bytes::Bytes;
use std::ops::Range;

/// Packed residuals and weight indices of `N` compressed embeddings, without their codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Packed residuals, `(N, W) u8`; layout: [`crate::packed_row_bytes`].
    pub residuals: Vec<u8>,
    /// Weight indices, `(N) u8`, one per byte (storage packs them to `weight_bits`).
    pub weights: Vec<u8>,
}

/// The compressed passages of one segment. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug)]
pub struct CompressedPassages {
    /// First token of each passage and the end of the last, `(P + 1) u32` little-endian.
    pub offsets: Bytes,
    /// Codes, `code_bits` each; layout: [`crate::pack_codes`].
    pub codes: Bytes,
    /// Packed residuals, `(N, W) u8`.
    pub residuals: Bytes,
    /// Packed weight indices; layout: [`crate::packed_weights_bytes`].
    pub weights: Bytes,
}

impl CompressedPassages {
    /// Number of passages, `P`.
    pub fn num_passages(&self) -> usize {
        (self.offsets.len() / 4).saturating_sub(1)
    }

    /// Number of tokens, `N`.
    pub fn num_tokens(&self) -> usize {
        if self.offsets.len() < 4 { 0 } else { self.offset(self.num_passages()) }
    }

    /// First token of passage `pid`; `pid = P` gives the number of tokens.
    ///
    /// # Panics
    /// If `pid > P`.
    #[inline]
    pub fn offset(&self, pid: usize) -> usize {
        let at = pid * 4;
        u32::from_le_bytes(self.offsets[at..at + 4].try_into().expect("four bytes")) as usize
    }

    /// The tokens of passage `pid`; empty if there is no such passage, or if its offsets run backwards or past the last
    /// token.
    #[inline]
    pub fn tokens(&self, pid: usize) -> std::ops::Range<usize> {
        let num_passages = self.num_passages();
        if pid >= num_passages {
            return 0..0;
        }
        let (start, end) = (self.offset(pid), self.offset(pid + 1));
        if start <= end && end <= self.offset(num_passages) { start..end } else { 0..0 }
    }

    /// Checks that the arrays have the lengths that follow from `codec` and the offsets, that offsets ascend and that
    /// every code names a centroid: one pass over offsets and codes.
    ///
    /// # Errors
    /// [`Error::ArrayLength`] if an array has another length, [`Error::OffsetsDescend`] with the first passage
    /// that ends before it starts, [`Error::CodeOutOfRange`] with the first code that is not below `K`.
    pub fn validate(&self, codec: CodecSizes) -> Result<()> {
        self.validate_lengths(codec)?;
        self.validate_offsets()?;
        let k = codec.num_centroids as u32;
        let reader = layout::CodeReader::new(&self.codes, codec.code_bits());
        match (0..self.num_tokens()).find(|&t| reader.get(t) >= k) {
            Some(token) => {
                Err(Error::CodeOutOfRange { embedding: token, code: reader.get(token), num_centroids: k as usize })
            }
            None => Ok(()),
        }
    }

    /// Checks that offsets ascend.
    ///
    /// # Errors
    /// [`Error::OffsetsDescend`] with the first passage that ends before it starts.
    pub(crate) fn validate_offsets(&self) -> Result<()> {
        match (0..self.num_passages()).find(|&pid| self.offset(pid) > self.offset(pid + 1)) {
            Some(pid) => Err(Error::OffsetsDescend { pid }),
            None => Ok(()),
        }
    }

    /// Number of the first passage that begins at token `first` or after it; offsets ascend.
    pub(crate) fn first_passage_from(&self, first: usize) -> usize {
        let (mut low, mut end) = (0, self.num_passages());
        while low < end {
            let middle = low.midpoint(end);
            if self.offset(middle) < first { low = middle + 1 } else { end = middle }
        }
        low
    }

    /// Copies a range of passages, whose offsets ascend unless it is empty; residuals are shared.
    pub(crate) fn share(&self, pids: Range<usize>, codec: CodecSizes) -> Self {
        let tokens = if pids.is_empty() { 0..0 } else { self.offset(pids.start)..self.offset(pids.end) };
        let ends = pids.map(|pid| self.offset(pid + 1) - tokens.start);
        let offsets = std::iter::once(0).chain(ends).flat_map(|end| (end as u32).to_le_bytes());
        let reader = layout::CodeReader::new(&self.codes, codec.code_bits());
        let codes: Vec<u32> = tokens.clone().map(|token| reader.get(token)).collect();
        let weight = |token| layout::read_weight(&self.weights, codec.weight_bits, token) as u8;
        let weights: Vec<u8> = tokens.clone().map(weight).collect();
        let row = codec.row_bytes();
        Self {
            offsets: offsets.collect::<Vec<u8>>().into(),
            codes: layout::pack_codes(&codes, codec.code_bits()).into(),
            residuals: self.residuals.slice(tokens.start * row..tokens.end * row),
            weights: layout::pack_weights(&weights, codec.weight_bits).into(),
        }
    }

    /// Checks the lengths of the arrays, the part of [`Self::validate`] whose time does not grow with the
    /// segment.
    ///
    /// # Errors
    /// [`Error::ArrayLength`] with the first array that has another length.
    pub fn validate_lengths(&self, codec: CodecSizes) -> Result<()> {
        let n = self.num_tokens();
        let expect = |array: &'static str, expected: usize, found: usize| {
            if expected == found { Ok(()) } else { Err(Error::ArrayLength { array, expected, found }) }
        };
        if self.offsets.len() < 4 || !self.offsets.len().is_multiple_of(4) {
            return Err(Error::ArrayLength { array: "offsets", expected: 4, found: self.offsets.len() });
        }
        expect("codes", layout::packed_codes_bytes(n, codec.code_bits()), self.codes.len())?;
        expect("residuals", n * codec.row_bytes(), self.residuals.len())?;
        expect("weights", layout::packed_weights_bytes(n, codec.weight_bits), self.weights.len())
    }
}
