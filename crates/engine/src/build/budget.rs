//! Division of a build's memory budget.
//!
//! | memory | bytes | share |
//! |---|---|---|
//! | sample that k-means sees: rows, codes, places in the counting sort | `4 D + 12` per row | half |
//! | centroids: current, summed (f32), int8, copies interleaved by `assign` | at most `17 K D` | must fit a quarter |
//! | two blocks of embeddings: the encoder's output and copies | about `32 D` per token of one block | an eighth |
//! | codes and pids of a segment, for its lists | [`LIST_BYTES`] per token | a quarter, once the sample is freed |
//! | columns and words of a segment, until it is written | at most [`MAX_HELD_BYTES`] | half, once the sample is freed |
//! | hashes of the ids while documents are read | `Writer::bytes_held` | all, before the rest is allocated |
//!
//! The model's weights and activations are not part of the budget (activations: `LoadOptions::batch_tokens`). Nor is
//! the pinned memory of a build on a GPU: 96 MiB for embeddings, and what their results take.

use crate::{Error, Result};
use selvedge_index::Limits;

/// Bytes per token and component while one block is encoded and the one before is compressed.
const BLOCK_BYTES: u64 = 32;
/// Bytes per token while a segment's lists are inverted.
const LIST_BYTES: u64 = 8;
/// Maximum tokens of a segment: more bring no gain, and offsets stay below 2^32.
const MAX_SEGMENT_TOKENS: u64 = 1 << 30;
/// Memory of a segment's columns and words at which it ends, at most: a builder of words refuses more than 3 GiB. Words
/// held 1.3 bytes per byte of Debian's descriptions, 6 per token; with half of the budget the tokens of such
/// text end a segment first, and a merge that the policy plans does not end as several segments.
const MAX_HELD_BYTES: u64 = 2 << 30;
/// Least memory of a segment's columns and words at which it ends, however small the budget: an empty builder of words
/// takes a part of it.
const LEAST_HELD_BYTES: u64 = 1 << 24;
/// Maximum passages of a block.
const MAX_BLOCK_PASSAGES: usize = 1 << 14;
/// Maximum tokens of a block: more bring no gain.
const MAX_BLOCK_TOKENS: u64 = 1 << 18;

/// Memory budget of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    total_bytes: u64,
    dim: u64,
}

impl Budget {
    /// Creates a budget for embeddings of `dim` components.
    pub(crate) fn new(total_bytes: u64, dim: usize) -> Self {
        Self { total_bytes, dim: dim as u64 }
    }

    /// Number of rows of the sample.
    pub(crate) fn sample_rows(self) -> usize {
        (self.total_bytes / 2 / (4 * self.dim + 12)) as usize
    }

    /// Number of tokens of a block.
    pub(crate) fn block_tokens(self) -> usize {
        (self.total_bytes / 8 / (BLOCK_BYTES * self.dim)).min(MAX_BLOCK_TOKENS) as usize
    }

    /// Number of passages of a block, whose longest has `max_doclen` tokens.
    pub(crate) fn block_passages(self, max_doclen: usize) -> usize {
        (self.block_tokens() / max_doclen).clamp(1, MAX_BLOCK_PASSAGES)
    }

    /// Limits of a segment. Columns and words are freed before its lists are inverted.
    pub(crate) fn limits(self) -> Limits {
        Limits {
            segment_tokens: (self.total_bytes / 4 / LIST_BYTES).clamp(1, MAX_SEGMENT_TOKENS) as u32,
            held_bytes: (self.total_bytes / 2).clamp(LEAST_HELD_BYTES, MAX_HELD_BYTES) as usize,
        }
    }

    /// Checks that the fixed parts fit: centroids, if their number is known, and one passage of `max_doclen` tokens as
    /// a block.
    pub(crate) fn check(self, num_centroids: Option<usize>, max_doclen: usize) -> Result<()> {
        let centroids = (4 * 17 * self.dim).saturating_mul(num_centroids.unwrap_or(0) as u64);
        let needed = (8 * BLOCK_BYTES * self.dim).saturating_mul(max_doclen as u64).max(centroids);
        if needed <= self.total_bytes {
            return Ok(());
        }
        let passages = format!("passages of {max_doclen} tokens, {} dims each", self.dim);
        let what = num_centroids.map_or(passages.clone(), |count| format!("{count} centroids and {passages}"));
        Err(Error::Budget { budget_bytes: self.total_bytes, needed_bytes: needed, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// Expected numbers are computed by hand from the table above.
    #[test]
    fn every_share_is_that_of_the_table() {
        let budget = Budget::new(GIB, 128);
        // 512 MiB at 4 * 128 + 12 = 524 bytes per row.
        assert_eq!(budget.sample_rows(), 1_024_562);
        // 128 MiB at 32 * 128 = 4096 bytes per token.
        assert_eq!(budget.block_tokens(), 32_768);
        // 256 MiB at 8 bytes per token, and 512 MiB.
        assert_eq!(budget.limits(), Limits { segment_tokens: 33_554_432, held_bytes: 1 << 29 });
    }

    #[test]
    fn shares_end_at_their_limits() {
        let (much, little) = (Budget::new(1 << 40, 128), Budget::new(10, 128));
        assert_eq!((much.block_tokens(), little.block_tokens(), little.sample_rows()), (1 << 18, 0, 0));
        assert_eq!(much.limits(), Limits { segment_tokens: 1 << 30, held_bytes: 2 << 30 });
        assert_eq!(little.limits(), Limits { segment_tokens: 1, held_bytes: 1 << 24 });
    }

    /// 1,000 centroids take 17 * 128,000 bytes, a quarter of the budget; a passage of 300 tokens takes 300 * 4096, an
    /// eighth.
    #[test]
    fn a_budget_holds_its_fixed_parts_to_the_byte() {
        for (centroids, doclen, needed) in [(1000, 1, 8_704_000), (1, 300, 9_830_400), (1000, 300, 9_830_400)] {
            assert!(Budget::new(needed, 128).check(Some(centroids), doclen).is_ok());
            let refused = Budget::new(needed - 1, 128).check(Some(centroids), doclen);
            assert!(matches!(refused, Err(Error::Budget { needed_bytes, .. }) if needed_bytes == needed));
        }
        let refused = Budget::new(1, 128).check(None, 300).unwrap_err().to_string();
        assert!(refused.contains("9830400 bytes are needed for passages of 300 tokens"), "{refused}");
        for (centroids, doclen) in [(usize::MAX, 1), (1, usize::MAX)] {
            let refused = Budget::new(GIB, 128).check(Some(centroids), doclen);
            assert!(matches!(refused, Err(Error::Budget { needed_bytes: u64::MAX, .. })));
        }
    }
}
