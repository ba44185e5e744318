//! How far a query looks.

/// Which way a query takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every passage through the fused kernel.
    Exact,
    /// Probe, candidates, score.
    Funnel {
        /// Cells opened for each query token; at least one, at most all.
        nprobe: usize,
        /// Candidates scored with their residuals; at least `k`.
        ndocs: usize,
    },
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Params {
    /// Results wanted; what there is where there are fewer.
    pub k: usize,
    /// Which way to take.
    pub mode: Mode,
}

impl Params {
    /// Every passage scored.
    pub fn exact(k: usize) -> Self {
        Self { k, mode: Mode::Exact }
    }

    /// The funnel with the defaults for `k`: the cheapest measured that find 99 % of the exhaustive top 10 and
    /// 97 % of the top 100 with room to spare, on 16,500 passages of Debian (1.39 M embeddings, 16,384 cells,
    /// 2 bits, 1,000 queries, one thread). Share of the exhaustive top k found, and the median time:
    ///
    /// | nprobe, ndocs | k = 10 | ms | nprobe, ndocs | k = 100 | ms |
    /// |---|---|---|---|---|---|
    /// | 8, 256 | .941 | 2.4 | 16, 1024 | .916 | 6.6 |
    /// | 16, 256 | .971 | 2.0 | 32, 1024 | .967 | 6.0 |
    /// | 32, 256 | .990 | 2.7 | **64, 1024** | .989 | 7.8 |
    /// | 16, 512 | .987 | 4.0 | 16, 2048 | .974 | 12.6 |
    /// | **32, 512** | .997 | 4.4 | 64, 2048 | .997 | 14.6 |
    ///
    /// These rows were taken with buckets in place of a trellis; with one, the bold ones find .997 and .988, in 3.4 and
    /// 6.0 ms. Beyond 100, twice as many cells and four candidates a result: .976 of the top 1,000, in 17 ms.
    pub fn funnel(k: usize) -> Self {
        let (nprobe, ndocs) = match k {
            0..=10 => (32, 512),
            11..=100 => (64, 1024),
            _ => (128, k.saturating_mul(4).max(4096)),
        };
        Self { k, mode: Mode::Funnel { nprobe, ndocs } }
    }
}
