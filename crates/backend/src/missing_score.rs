//! What a query token is imputed for passages that none of its opened cells holds.
//!
//! The best entry left out bounds what such a passage can have, but few have as much: ranked by it, passages that touch
//! few cells come too far up. An entry some eight times as deep in the token's column says better what is missing, and
//! is read off the table's maxima without sorting the column:
//!
//! ```text
//! group maxima   m_g = max of T[c][i] over the 8 centroids c of group g, ceil(K / 8) groups
//! sample         every step-th group, at most 256: S of G groups
//! imputed        the r-th largest m_g of the sample, r = ceil(8 * nprobe * S / G) within 1..=S, but no more than
//!                the best left out
//! ```
//!
//! Recall against exact f32 MaxSim with the best entry left out, and with this one (16,500 passages of Debian and 100,000
//! made of them, K = 16,384, 4 bits, 300 queries):
//!
//! | data, k | nprobe, ndocs, nfull | best left out | imputed |
//! |---|---|---|---|
//! | Debian, 10 | 8, 256, 48 | .919 | .947 |
//! | Debian, 10 | 12, 256, 128 | .949 | .966 |
//! | Debian, 100 | 24, 1024, 320 | .928 | .949 |
//! | synthetic, 10 | 8, 512, 256 | .838 | .910 |
//! | synthetic, 100 | 24, 2048, 768 | .892 | .931 |
//!
//! Four times as deep gave .004 less on the synthetic set and as much on Debian; samples of 512 and 1,024 groups gave as
//! much and took longer. XTR and WARP impute a deeper entry likewise. Entries ahead of the rank taken as falling with its
//! logarithm, from those of the opened cells, gave a third of this.

/// Centroids whose largest entries are taken together.
pub(crate) const GROUP: usize = 8;
/// Groups that are looked at, at most.
const SAMPLE: usize = 256;
/// How many times as deep as the cells that are opened.
const DEPTH: usize = 8;

/// How the imputed entry is found among groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingScore {
    /// Every so many groups are looked at.
    pub(crate) step: usize,
    /// Which of their maxima it is, from 1 for the largest.
    pub(crate) rank: usize,
}

impl MissingScore {
    /// For `nprobe` of `num_centroids`, at least one.
    pub(crate) fn new(nprobe: usize, num_centroids: usize) -> Self {
        let groups = num_centroids.div_ceil(GROUP);
        let step = groups.div_ceil(SAMPLE);
        let sampled = groups.div_ceil(step);
        let rank = (DEPTH * nprobe.min(num_centroids) * sampled).div_ceil(groups);
        Self { step, rank: rank.clamp(1, sampled) }
    }

    /// The entry, of the maxima of the sampled groups.
    pub(crate) fn of(self, maxima: &mut [i32]) -> i32 {
        *maxima.select_nth_unstable_by(self.rank - 1, |a, b| b.cmp(a)).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_steps_by_hand() {
        let imputed = |nprobe, num_centroids| {
            let MissingScore { step, rank } = MissingScore::new(nprobe, num_centroids);
            (step, rank)
        };
        assert_eq!([imputed(0, 1), imputed(1, 1), imputed(9, 16)], [(1, 1), (1, 1), (1, 2)]);
        assert_eq!([imputed(12, 1 << 13), imputed(12, 1 << 14), imputed(32, 1 << 14)], [(4, 24), (8, 12), (8, 32)]);
        assert_eq!(imputed(32, 1 << 18), (128, 2));
        assert_eq!(MissingScore { step: 1, rank: 2 }.of(&mut [3, 9, -1, 9, 5]), 9);
        assert_eq!(MissingScore { step: 1, rank: 3 }.of(&mut [3, 9, -1, 9, 5]), 5);
    }
}
