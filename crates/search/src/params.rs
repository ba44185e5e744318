//! Search parameters: number of results, mode, and depth of the approximate search.

/// Search mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Exhaustive: every passage is scored.
    Exact,
    /// Approximate: cells are probed, and the best of their passages are scored.
    #[serde(rename = "funnel")]
    Approximate {
        /// Number of cells probed per query token; at least one, at most all.
        nprobe: usize,
        /// Number of candidates, the best by the probed cells, that get an approximate score from all their centroids;
        /// at least `num_rescored`.
        ndocs: usize,
        /// Number of these candidates, the best by approximate score, that are scored with their residuals; at least
        /// `k`.
        #[serde(rename = "nfull")]
        num_rescored: usize,
    },
}

/// Parameters of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SearchParams {
    /// Largest number of results.
    pub k: usize,
    /// Search mode.
    pub mode: Mode,
}

/// Passages up to which the default parameters find 0.99 of the exhaustive top 10 and top 100 as they are.
const FITTED_PASSAGES: usize = 1 << 16;

impl SearchParams {
    /// Returns parameters of an exhaustive search.
    pub fn exact(k: usize) -> Self {
        Self { k, mode: Mode::Exact }
    }

    /// Returns the default parameters of an approximate search for `k` results of up to 65,536 passages.
    ///
    /// The table shows the share of the exhaustive top k that is found, and the median time; the defaults are
    /// bold. Measured on 16,500 passages of Debian (1.39 M embeddings, K = 16,384, 4 bits, 1,000 queries of 12
    /// tokens, one thread of a Zen 5). [`tune`](crate::tune) finds the parameters for a given index.
    ///
    /// | nprobe, ndocs, num_rescored | k = 10 | ms | nprobe, ndocs, num_rescored | k = 100 | ms |
    /// |---|---|---|---|---|---|
    /// | 12, 256, 48 | 0.961 | 0.38 | 24, 1024, 256 | 0.933 | 1.0 |
    /// | 16, 384, 96 | 0.988 | 0.49 | 32, 1024, 320 | 0.959 | 1.2 |
    /// | **24, 512, 128** | 0.994 | 0.61 | **48, 1280, 640** | 0.992 | 1.5 |
    ///
    /// Above `k` = 100: `nprobe` 64, `ndocs` 8 `k` (at least 8,192), `num_rescored` 3 `k`, which finds 0.982 of the top
    /// 1,000.
    pub fn approximate(k: usize) -> Self {
        let (nprobe, ndocs, num_rescored) = match k {
            0..=10 => (24, 512, 128),
            11..=100 => (48, 1280, 640),
            _ => (64, k.saturating_mul(8).max(8192), k.saturating_mul(3)),
        };
        Self { k, mode: Mode::Approximate { nprobe, ndocs, num_rescored } }
    }

    /// Returns parameters for a collection of `passages`: beyond 65,536 all three numbers grow as their third root, so
    /// that 0.99 of the exhaustive top 10, and nearly as many of the top 100, are found on larger collections, too.
    ///
    /// The table shows the share that is found before, and by this rule; 2 bits, 300 queries of 11 tokens, vectors with
    /// the statistics of Debian's. The last collection is hard: its passages are cut from the second one's.
    ///
    /// | passages | tokens each | k = 10 | by the rule | k = 100 | by the rule |
    /// |---|---|---|---|---|---|
    /// | 63,874 of Debian | 75 | 0.991 | the same | 0.990 | the same |
    /// | 200,000 | 63 | 0.988 | 35, 743, 186: 0.995 | 0.982 | 70, 1857, 929: 0.992 |
    /// | 786,219 | 16 | 0.950 | 55, 1173, 294: 0.992 | 0.945 | 110, 2931, 1466: 0.987 |
    pub fn for_passages(self, passages: usize) -> Self {
        let Mode::Approximate { nprobe, ndocs, num_rescored } = self.mode else { return self };
        let times = (passages as f64 / FITTED_PASSAGES as f64).cbrt().max(1.0);
        let [nprobe, ndocs, num_rescored] =
            [nprobe, ndocs, num_rescored].map(|number| (number as f64 * times).ceil() as usize);
        Self { mode: Mode::Approximate { nprobe, ndocs, num_rescored }, ..self }
    }

    /// Returns parameters with a multiple of the candidates, for an index with too few centroids to rank them by: it
    /// was made of few passages, and has grown since. The multiple is the number of centroids that a build would choose
    /// now ([`selvedge_codec::plan::num_centroids`]) divided by the number that there are.
    ///
    /// The table shows the share of the exact f32 top 10 that is found in 4,000 passages of Debian (8,192 centroids by
    /// the plan, 2 bits, 100 queries), of which the first were there when the index was made. The multiple of this rule
    /// is bold.
    ///
    /// | first passages | centroids | 1 | 4 | 8 | 16 | 32 | all passages scored |
    /// |---|---|---|---|---|---|---|---|
    /// | 1 | 256 | 0.370 | 0.639 | 0.790 | 0.884 | **0.916** | 0.916 |
    /// | 20 | 512 | 0.731 | 0.882 | 0.927 | **0.934** | 0.939 | 0.939 |
    /// | 250 | 2,048 | 0.917 | **0.948** | 0.954 | 0.953 | 0.953 | 0.953 |
    /// | 4,000 | 8,192 | **0.966** | 0.970 | 0.970 | 0.970 | 0.970 | 0.970 |
    pub fn with_more_candidates(self, times: usize) -> Self {
        let Mode::Approximate { nprobe, ndocs, num_rescored } = self.mode else { return self };
        let [ndocs, num_rescored] = [ndocs, num_rescored].map(|number| number.saturating_mul(times.max(1)));
        Self { mode: Mode::Approximate { nprobe, ndocs, num_rescored }, ..self }
    }

    /// Returns parameters of a search within a set, where cells hold few passages, and fewer of the set: twice the
    /// cells, and half of the candidates, which pays for them.
    ///
    /// The table shows the share of the exhaustive top 10 within a set that is found of 63,874 passages of Debian (K =
    /// 32,768, 2 bits), for 100 passages as queries and for 300 texts.
    ///
    /// | nprobe, ndocs, num_rescored | 6,699 passages of one section | 31,708 below the median size |
    /// |---|---|---|
    /// | 24, 512, 128 | 0.975, 0.984 | 0.986, 0.991 |
    /// | 48, 512, 128 | 0.992, 0.995 | 0.999, 0.996 |
    /// | 48, 384, 96 | 0.990, 0.994 | 0.999, 0.994 |
    /// | **48, 256, 64** | 0.989, 0.991 | 0.998, 0.992 |
    ///
    /// Above `k` = 10 the parameters stay: there, half of the candidates cost as much recall as twice the cells win.
    pub fn with_more_cells(self) -> Self {
        let Mode::Approximate { nprobe, ndocs, num_rescored } = self.mode else { return self };
        if self.k > 10 {
            return self;
        }
        let [ndocs, num_rescored] = [ndocs, num_rescored].map(|number| number.div_ceil(2));
        Self { mode: Mode::Approximate { nprobe: nprobe.saturating_mul(2), ndocs, num_rescored }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_centroids_have_more_candidates() {
        let times = |times| SearchParams::approximate(10).with_more_candidates(times).mode;
        let of = |ndocs, num_rescored| Mode::Approximate { nprobe: 24, ndocs, num_rescored };
        assert_eq!((times(0), times(1), times(16)), (of(512, 128), of(512, 128), of(8192, 2048)));
    }

    #[test]
    fn parameters_grow_with_the_third_root_of_the_passages() {
        let of = |k, passages| SearchParams::approximate(k).for_passages(passages).mode;
        let are = |nprobe, ndocs, num_rescored| Mode::Approximate { nprobe, ndocs, num_rescored };
        assert_eq!((of(10, 0), of(10, 1 << 16)), (are(24, 512, 128), are(24, 512, 128)));
        assert_eq!((of(10, 200_000), of(100, 786_219)), (are(35, 743, 186), are(110, 2931, 1466)));
        // Of two billion passages, and of the most results.
        assert_eq!(of(10, 1 << 31), are(768, 16384, 4096));
        assert!(matches!(of(usize::MAX, 1 << 31), Mode::Approximate { ndocs: usize::MAX, .. }));
        assert_eq!(SearchParams::exact(3).for_passages(1 << 31), SearchParams::exact(3));
    }

    #[test]
    fn more_cells_are_paid_for_by_candidates() {
        let within = |nprobe, ndocs, num_rescored| Mode::Approximate { nprobe, ndocs, num_rescored };
        assert_eq!(SearchParams::approximate(10).with_more_cells().mode, within(48, 256, 64));
        for other in [SearchParams::approximate(11), SearchParams::exact(10)] {
            assert_eq!(other.with_more_cells(), other);
        }
    }
}
