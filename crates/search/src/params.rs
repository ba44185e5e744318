//! How far a query looks.

/// Which way a query takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every passage through the fused kernel.
    Exact,
    /// Probe, candidates, score.
    #[serde(rename = "funnel")]
    Approximate {
        /// Cells opened for each query token; at least one, at most all.
        nprobe: usize,
        /// Candidates ranked by their centroids, the best as the opened cells rank them; at least `num_rescored`.
        ndocs: usize,
        /// Candidates scored with their residuals, the best as their centroids rank them; at least `k`.
        #[serde(rename = "nfull")]
        num_rescored: usize,
    },
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SearchParams {
    /// Results wanted; what there is where there are fewer.
    pub k: usize,
    /// Which way to take.
    pub mode: Mode,
}

impl SearchParams {
    /// Every passage scored.
    pub fn exact(k: usize) -> Self {
        Self { k, mode: Mode::Exact }
    }

    /// The funnel with the defaults for `k`, measured on 16,500 passages of Debian (1.39 M embeddings, 16,384 cells, 4
    /// bits, 1,000 queries of 12 tokens, one thread of a Zen 5): share of the exhaustive top k found, and the median
    /// time. `selvedge tune` measures the like for an index of yours.
    ///
    /// | nprobe, ndocs, num_rescored | k = 10 | ms | nprobe, ndocs, num_rescored | k = 100 | ms |
    /// |---|---|---|---|---|---|
    /// | 12, 256, 48 | .961 | .38 | 24, 1024, 256 | .933 | 1.0 |
    /// | 16, 384, 96 | .988 | .49 | 32, 1024, 320 | .959 | 1.2 |
    /// | **24, 512, 128** | .994 | .61 | **48, 1280, 640** | .992 | 1.5 |
    ///
    /// Beyond 100, a few more cells, and eight candidates and three full scores a result: .982 of the top 1,000.
    pub fn approximate(k: usize) -> Self {
        let (nprobe, ndocs, num_rescored) = match k {
            0..=10 => (24, 512, 128),
            11..=100 => (48, 1280, 640),
            _ => (64, k.saturating_mul(8).max(8192), k.saturating_mul(3)),
        };
        Self { k, mode: Mode::Approximate { nprobe, ndocs, num_rescored } }
    }
}
