//! How far a query looks.

/// Which way a query takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every passage through the fused kernel.
    Exact,
    /// Probe, candidates, score.
    Funnel {
        /// Cells opened for each query token.
        nprobe: usize,
        /// Candidates scored with their residuals.
        ndocs: usize,
    },
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Params {
    /// Results wanted.
    pub k: usize,
    /// Which way to take.
    pub mode: Mode,
}

impl Params {
    /// Every passage scored.
    pub fn exact(k: usize) -> Self {
        Self { k, mode: Mode::Exact }
    }

    /// The funnel with the defaults for `k`.
    pub fn funnel(k: usize) -> Self {
        let (nprobe, ndocs) = match k {
            0..=10 => (16, 256),
            11..=100 => (32, 1024),
            _ => (64, (4 * k).max(4096)),
        };
        Self { k, mode: Mode::Funnel { nprobe, ndocs } }
    }
}
