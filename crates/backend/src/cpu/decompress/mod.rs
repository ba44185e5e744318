//! Decompressed vectors of tokens. `tokens` -> `(tokens, D) f32`:
//!
//! ```text
//! x = ((centroid_weight_step * centroid_weights[j]) * centroid_scale) * c8
//!     + (residual_weight_step * residual_weights[j]) * w8
//! ```
//!
//! Each operation is rounded to f32, and none is fused into a multiply-add, so every body gives the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{levels::LevelTable, passages::Passages};
use crate::Isa;
use rayon::prelude::*;
use std::ops::Range;

/// Tokens per task.
const BLOCK_TOKENS: usize = 512;

/// Inputs of a block of work.
struct Job<'a> {
    passages: &'a Passages,
    levels: LevelTable,
}

/// Vectors of `tokens`, `(tokens, D) f32`.
///
/// # Panics
/// If `tokens` end after the last token.
pub(super) fn decompress(isa: Isa, passages: &Passages, tokens: Range<usize>) -> Vec<f32> {
    assert!(tokens.end <= passages.bytes().num_tokens(), "tokens end within the segment");
    let dim = passages.codec().dim;
    let job = Job { passages, levels: LevelTable::levels(passages.codec()) };
    let mut vectors = vec![0f32; tokens.len() * dim];
    let blocks = vectors.par_chunks_mut(BLOCK_TOKENS * dim).enumerate();
    blocks.for_each(|(block, out)| dispatch!(isa, &job, tokens.start + block * BLOCK_TOKENS, out));
    vectors
}

impl Job<'_> {
    /// Vectors of the tokens from `first` on, whose levels `unpack(token, levels)` finds.
    #[inline(always)]
    fn run(&self, first: usize, levels: &mut [u8], vectors: &mut [f32], unpack: impl Fn(usize, &mut [u8])) {
        let (codec, codes) = (self.passages.codec(), self.passages.codes());
        for (i, vector) in vectors.chunks_exact_mut(codec.dim).enumerate() {
            let token = first + i;
            unpack(token, levels);
            let weight = self.passages.weight(token);
            let centroid_factor =
                codec.centroid_weight_step * f32::from(codec.centroid_weights[weight]) * codec.centroid_scale;
            let level_factor = codec.residual_weight_step * f32::from(codec.residual_weights[weight]);
            let centroid = &codec.centroids[codes.get(token) * codec.dim..][..codec.dim];
            for ((x, &c), &w) in vector.iter_mut().zip(centroid).zip(levels.iter()) {
                *x = centroid_factor * f32::from(c) + level_factor * f32::from(w as i8);
            }
        }
    }
}
