//! Tiles of unpacked tokens and the loop over passages, shared by the SIMD bodies of `maxsim`.

use super::{Job, sum};
use crate::cpu::aligned::{AlignedVec, LINE, prefetch};
use std::ops::Range;

/// Bytes of unpacked levels in a tile: half of a 32 KiB L1.
const TILE_BYTES: usize = 1 << 14;
/// Maximum number of tokens of a tile.
pub(super) const TILE_TOKENS: usize = 32;
/// Minimum capacity of a tile, a multiple of the rows of every kernel.
const GROUP_TOKENS: usize = 8;

/// A few unpacked tokens.
pub(super) struct Tile<'a> {
    /// Bytes from one token's levels to the next one's.
    pub(super) width: usize,
    /// `(capacity, width) u8`, and the bytes after them that unpacking may overwrite.
    pub(super) levels: AlignedVec<u8>,
    /// Maximum number of tokens.
    capacity: usize,
    /// Codes, at most `K - 1`.
    pub(super) codes: [u32; TILE_TOKENS],
    pub(super) centroid_weights: [i32; TILE_TOKENS],
    pub(super) residual_weights: [i32; TILE_TOKENS],
    /// Best similarity of each query token so far, in whole registers.
    pub(super) best: Vec<i32>,
    /// Packed rows of the next passage's tokens at the same places, to be prefetched; at most one for each token of the
    /// tile.
    next_rows: &'a [u8],
}

impl<'a> Tile<'a> {
    /// A tile for tokens of `width` unpacked bytes, followed by `slack` bytes, and the best of `lanes` query tokens.
    pub(super) fn new(width: usize, slack: usize, lanes: usize) -> Self {
        let capacity = (TILE_BYTES / width.max(1) / GROUP_TOKENS * GROUP_TOKENS).clamp(GROUP_TOKENS, TILE_TOKENS);
        Self {
            width,
            levels: AlignedVec::zeros(capacity * width + slack),
            capacity,
            codes: [0; TILE_TOKENS],
            centroid_weights: [0; TILE_TOKENS],
            residual_weights: [0; TILE_TOKENS],
            best: vec![0; lanes],
            next_rows: &[],
        }
    }

    /// Scores the selected passages from `first` on. `read_weights(tile, tokens)` fills codes and weights,
    /// `unpack(tokens, levels)` the levels, and `maximize(tile, num_tokens)` raises the best similarities.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        job: &Job<'a>,
        first: usize,
        scores: &mut [i32],
        read_weights: impl Fn(&mut Tile<'a>, Range<usize>),
        unpack: impl Fn(Range<usize>, &mut [u8]),
        maximize: impl Fn(&mut Tile<'a>, usize),
    ) {
        let end = first + scores.len();
        let tokens_of = |i: usize| job.passages.bytes().tokens(job.select.pid(i) as usize);
        for (i, score) in (first..).zip(scores) {
            let tokens = tokens_of(i);
            let next = if i + 1 < end { tokens_of(i + 1) } else { 0..0 };
            if tokens.is_empty() {
                continue;
            }
            self.best.fill(i32::MIN);
            for start in tokens.clone().step_by(self.capacity) {
                let tile = start..tokens.end.min(start + self.capacity);
                read_weights(self, tile.clone());
                self.prefetch_next_passage(job, tile.len(), start - tokens.start + next.start, next.end);
                unpack(tile.clone(), &mut self.levels);
                self.pad_tail(tile.len());
                maximize(self, tile.len());
            }
            *score = sum(&self.best[..job.query.len()]);
        }
    }

    /// Reads codes and weights one by one.
    #[inline(always)]
    pub(super) fn read_weights(&mut self, job: &Job<'a>, tokens: Range<usize>) {
        let (codec, codes) = (job.passages.codec(), job.passages.codes());
        for (slot, t) in tokens.enumerate() {
            let weight = job.passages.weight(t);
            self.codes[slot] = codes.get(t) as u32;
            self.centroid_weights[slot] = i32::from(codec.centroid_weights[weight]);
            self.residual_weights[slot] = i32::from(codec.residual_weights[weight]);
        }
    }

    /// Pads a tile to whole groups of rows with copies of its last token, which cannot change a maximum.
    #[inline(always)]
    fn pad_tail(&mut self, num_tokens: usize) {
        let (last, width) = (num_tokens - 1, self.width);
        for slot in num_tokens..num_tokens.next_multiple_of(GROUP_TOKENS) {
            self.codes[slot] = self.codes[last];
            self.centroid_weights[slot] = self.centroid_weights[last];
            self.residual_weights[slot] = self.residual_weights[last];
            self.levels.copy_within(last * width..num_tokens * width, slot * width);
        }
    }

    /// Prefetches the first table rows of the tile, and codes and weights of the next passage's tokens `start..end`, at
    /// most the first `num`. Keeps the packed rows of these tokens for [`Self::prefetch_ahead`].
    #[inline(always)]
    fn prefetch_next_passage(&mut self, job: &Job<'a>, num: usize, start: usize, end: usize) {
        job.table.prefetch_rows(&self.codes[..num.min(GROUP_TOKENS)]);
        let (codec, bytes) = (job.passages.codec(), job.passages.bytes());
        let next_rows = start..end.min(start + num).max(start);
        let row_bytes = codec.row_bytes();
        self.next_rows =
            bytes.residuals.get(next_rows.start * row_bytes..next_rows.end * row_bytes).unwrap_or_default();
        for (array, bits) in [(&bytes.codes, codec.code_bits() as usize), (&bytes.weights, codec.weight_bits as usize)]
        {
            if let Some(array) = array.get(next_rows.start * bits / 8..next_rows.end * bits / 8) {
                array.chunks(LINE).for_each(prefetch);
            }
        }
    }

    /// Prefetches the table rows of the tile's next group of `num` tokens, from `slot + num` on, and the packed rows of
    /// the next passage's tokens from `slot` to `slot + num`. A few lines at a time, between products, since a core
    /// tracks few cache misses.
    #[inline(always)]
    pub(super) fn prefetch_ahead(&self, job: &Job<'_>, slot: usize, num: usize) {
        if let Some(codes) = self.codes.get(slot + num..slot + 2 * num) {
            job.table.prefetch_rows(codes);
        }
        let row_bytes = job.passages.codec().row_bytes();
        let end = self.next_rows.len().min((slot + num) * row_bytes);
        self.next_rows.get(slot * row_bytes..end).unwrap_or_default().chunks(LINE).for_each(prefetch);
    }
}
