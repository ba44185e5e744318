//! How a build divides the memory that it may use.
//!
//! | what | bytes | share |
//! |---|---|---|
//! | sample that k-means sees | `4 D + 12` a row: the row, its code, its place in the counting sort | half |
//! | centroids: current and summed (f32), int8 and the copies that `assign` interleaves, at most | `17 K D` | must fit a quarter |
//! | two blocks of embeddings on their way through | about `32 D` a token of one, encoder's output and copies | an eighth |
//! | codes and pids of a segment while its lists are inverted | [`LIST_BYTES`] a token | a quarter, after the sample is gone |
//!
//! The model's weights and activations come on top (activations: `LoadOptions::batch_tokens`).

use crate::{Error, Result};

/// Bytes a token and component while one block is made and the one before is compressed.
const BLOCK_BYTES: u64 = 32;
/// Bytes a token while a segment's lists are inverted.
const LIST_BYTES: u64 = 8;
/// More tokens than this in a segment gain nothing, and keep every offset inside a u32.
const MAX_SEGMENT_TOKENS: u64 = 1 << 30;
/// More tokens than this in a block gain nothing.
const MAX_BLOCK_TOKENS: u64 = 1 << 18;

/// What the budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    total_bytes: u64,
    dim: u64,
}

impl Budget {
    /// A budget for embeddings of `dim` components.
    pub(crate) fn new(total_bytes: u64, dim: usize) -> Self {
        Self { total_bytes, dim: dim as u64 }
    }

    /// Rows of the sample that fit.
    pub(crate) fn sample_rows(self) -> usize {
        (self.total_bytes / 2 / (4 * self.dim + 12)) as usize
    }

    /// Tokens of a block.
    pub(crate) fn block_tokens(self) -> usize {
        (self.total_bytes / 8 / (BLOCK_BYTES * self.dim)).min(MAX_BLOCK_TOKENS) as usize
    }

    /// Tokens of a segment.
    pub(crate) fn segment_tokens(self) -> u32 {
        (self.total_bytes / 4 / LIST_BYTES).clamp(1, MAX_SEGMENT_TOKENS) as u32
    }

    /// Checks that the fixed parts fit: centroids, and one passage of `max_doclen` tokens as a block.
    pub(crate) fn check(self, num_centroids: usize, max_doclen: usize) -> Result<()> {
        let centroids = 17 * num_centroids as u64 * self.dim;
        let needed = (4 * centroids).max(8 * BLOCK_BYTES * self.dim * max_doclen as u64);
        if needed <= self.total_bytes {
            return Ok(());
        }
        let what = format!("{num_centroids} centroids of {} dims and passages of {max_doclen} tokens", self.dim);
        Err(Error::Budget { budget_bytes: self.total_bytes, needed_bytes: needed, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// Each number against the table above, by hand.
    #[test]
    fn every_share_is_that_of_the_table() {
        let budget = Budget::new(GIB, 128);
        // 512 MiB at 4 * 128 + 12 = 524 bytes a row.
        assert_eq!(budget.sample_rows(), 1_024_562);
        // 128 MiB at 32 * 128 = 4096 bytes a token.
        assert_eq!(budget.block_tokens(), 32_768);
        // 256 MiB at 8 bytes a token.
        assert_eq!(budget.segment_tokens(), 33_554_432);
    }

    #[test]
    fn shares_end_at_their_limits() {
        let (much, little) = (Budget::new(1 << 40, 128), Budget::new(10, 128));
        assert_eq!((much.block_tokens(), much.segment_tokens()), (1 << 18, 1 << 30));
        assert_eq!((little.sample_rows(), little.block_tokens(), little.segment_tokens()), (0, 0, 1));
    }

    /// 1,000 centroids take 17 * 128,000 bytes, a quarter of what is needed; a passage of 300 tokens 4096 each, an eighth.
    #[test]
    fn a_budget_holds_its_fixed_parts_to_the_byte() {
        for (centroids, doclen, needed) in [(1000, 1, 8_704_000), (1, 300, 9_830_400), (1000, 300, 9_830_400)] {
            assert!(Budget::new(needed, 128).check(centroids, doclen).is_ok());
            let refused = Budget::new(needed - 1, 128).check(centroids, doclen);
            assert!(matches!(refused, Err(Error::Budget { needed_bytes, .. }) if needed_bytes == needed));
        }
    }
}
