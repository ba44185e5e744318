//! Missing score: the table entry that stands for a query token in passages that are in none of its opened cells.
//!
//! The best entry outside the opened cells is an upper bound for such a passage. Few passages reach it, so a
//! search that uses it overrates passages that are in few cells. The entry of rank `8 * nprobe` or so in the token's
//! column is a better estimate. It is found among maxima of the table without sorting the column:
//!
//! ```text
//! group maxima   m_g = max of T[c][i] over the 8 centroids c of group g, G = ceil(K / 8) groups
//! sample         every step-th group, at most 256: S of G groups
//! missing score  the r-th largest m_g of the sample, r = ceil(8 * nprobe * S / G) within 1..=S, but at most the best
//!                entry outside the opened cells
//! ```
//!
//! Recall against exact f32 MaxSim with the upper bound and with this estimate (Debian, 16,500 passages, and 100,000
//! synthetic ones of the same statistics, K = 16,384, 4 bits, 300 queries):
//!
//! | data, k | nprobe, ndocs, num_rescored | upper bound | missing score |
//! |---|---|---|---|
//! | Debian, 10 | 8, 256, 48 | 0.919 | 0.947 |
//! | Debian, 10 | 12, 256, 128 | 0.949 | 0.966 |
//! | Debian, 100 | 24, 1024, 320 | 0.928 | 0.949 |
//! | synthetic, 10 | 8, 512, 256 | 0.838 | 0.910 |
//! | synthetic, 100 | 24, 2048, 768 | 0.892 | 0.931 |
//!
//! XTR and WARP estimate missing similarities too. Rank `4 * nprobe` lost 0.004 of recall on the synthetic set and
//! nothing on Debian; samples of 512 and 1,024 groups gained nothing and took longer; extrapolating from the opened
//! cells, with entries that fall with the logarithm of their rank, gave a third of the gain.

/// Number of centroids in a group.
pub(crate) const GROUP: usize = 8;
/// Maximum number of sampled groups.
const SAMPLE: usize = 256;
/// Rank of the entry in its column, in multiples of `nprobe`.
const DEPTH: usize = 8;

/// Position of the missing score among the maxima of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingScore {
    /// Distance between sampled groups, in groups.
    pub(crate) step: usize,
    /// Rank of the entry among the sampled maxima, from 1 for the largest.
    pub(crate) rank: usize,
}

impl MissingScore {
    /// Returns the position for `nprobe` of `num_centroids` centroids; `num_centroids` is at least 1.
    pub(crate) fn new(nprobe: usize, num_centroids: usize) -> Self {
        let groups = num_centroids.div_ceil(GROUP);
        let step = groups.div_ceil(SAMPLE);
        let sampled = groups.div_ceil(step);
        let rank = (DEPTH * nprobe.min(num_centroids) * sampled).div_ceil(groups);
        Self { step, rank: rank.clamp(1, sampled) }
    }

    /// Selects the missing score among the maxima of the sampled groups, which it reorders.
    pub(crate) fn of(self, maxima: &mut [i32]) -> i32 {
        *maxima.select_nth_unstable_by(self.rank - 1, |a, b| b.cmp(a)).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_steps_by_hand() {
        let position = |nprobe, num_centroids| {
            let MissingScore { step, rank } = MissingScore::new(nprobe, num_centroids);
            (step, rank)
        };
        assert_eq!([position(0, 1), position(1, 1), position(9, 16)], [(1, 1), (1, 1), (1, 2)]);
        assert_eq!([position(12, 1 << 13), position(12, 1 << 14), position(32, 1 << 14)], [(4, 24), (8, 12), (8, 32)]);
        assert_eq!(position(32, 1 << 18), (128, 2));
        assert_eq!(MissingScore { step: 1, rank: 2 }.of(&mut [3, 9, -1, 9, 5]), 9);
        assert_eq!(MissingScore { step: 1, rank: 3 }.of(&mut [3, 9, -1, 9, 5]), 5);
    }
}
