//! Prediction of the bytes and times of one index, from figures of others.
//!
//! With `P` passages of `L` tokens, `N = P L` embeddings and `K` centroids:
//!
//! | figure | law | because |
//! |---|---|---|
//! | bytes on disk | a sum of `P, N, K` | offsets; codes, residuals and lists; centroids |
//! | resident memory | a sum of `1, P, N, K` | the program, and the bytes on disk |
//! | processor time of a build | a sum of `N, N K + 192 K^2` | packing; assigning, also 48 K rows in 4 rounds of k-means |
//! | time of a search | a product of powers of `N` and `L` | measured; a sum of tables and cells was too high at large N |
//!
//! If all sizes have about as many tokens per passage, `P` and `L` cannot be told from `N`, and are left out.
//!
//! Beyond the largest measured size the time of a search grows at least as the square root of `N`, as the number of
//! centroids and the lengths of cells do.

use super::figures::{Figures, SizeFigures};
use super::fit::{Law, Power, Terms};
use selvedge_codec::plan::{KMEANS_ITERATIONS, POINTS_PER_CENTROID, num_centroids};

/// Least ratio of the tokens per passage of two sizes that tells passages from embeddings.
const TOLD_APART: f64 = 1.5;
/// Least exponent of the number of embeddings beyond the measured sizes.
const FAR_EXPONENT: f64 = 0.5;

/// Index whose figures are predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexSize {
    /// Number of passages.
    pub passages: f64,
    /// Number of embeddings.
    pub vectors: f64,
    /// Number of centroids.
    pub centroids: f64,
}

/// Figures of an index, predicted or measured.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Predicted {
    /// Bytes on disk.
    pub disk_bytes: f64,
    /// Resident size of a process that searches.
    pub memory_bytes: f64,
    /// Processor time of a build from embeddings.
    pub build_cpu_s: f64,
    /// Median time of a search on one core.
    pub search_ms: f64,
}

/// Prediction for a size that was measured, from the other sizes.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Check {
    /// Number of passages.
    pub passages: u64,
    /// Mean number of tokens of a passage.
    pub tokens: f64,
    /// Prediction from all other sizes.
    pub predicted: Predicted,
    /// Measured figures.
    pub measured: Predicted,
    /// Whether the size is outside the range of the others: the prediction is an extrapolation.
    pub is_outside: bool,
}

/// Laws of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Laws {
    disk: Law,
    memory: Law,
    build: Law,
    search: Power,
    /// The largest number of embeddings that was measured.
    most_vectors: f64,
    nbits: u8,
    dim: usize,
}

impl IndexSize {
    /// An index of `passages` with `tokens` each and the default number of centroids.
    pub fn new(passages: f64, tokens: f64) -> Self {
        let vectors = passages * tokens;
        Self { passages, vectors, centroids: num_centroids(vectors as usize) as f64 }
    }

    fn disk(&self) -> Terms {
        [self.passages, self.vectors, self.centroids, 0.0]
    }

    fn memory(&self) -> Terms {
        [self.passages, self.vectors, self.centroids, 1.0]
    }

    fn build(&self) -> Terms {
        [0.0, self.vectors, self.vectors * self.centroids + self.trained(), 0.0]
    }

    /// Rows that k-means assigns, times the centroids that they are compared with.
    fn trained(&self) -> f64 {
        (KMEANS_ITERATIONS * POINTS_PER_CENTROID) as f64 * self.centroids * self.centroids
    }

    /// Logarithms of the bases.
    fn search(&self) -> Terms {
        [1.0, self.vectors.ln(), (self.vectors / self.passages).ln(), 0.0]
    }
}

impl From<&SizeFigures> for IndexSize {
    fn from(size: &SizeFigures) -> Self {
        let [passages, vectors, centroids] = [size.passages, size.vectors, size.centroids].map(|count| count as f64);
        Self { passages, vectors, centroids }
    }
}

impl From<&SizeFigures> for Predicted {
    fn from(size: &SizeFigures) -> Self {
        Self {
            disk_bytes: size.built.disk_bytes as f64,
            memory_bytes: size.searched.memory_bytes as f64,
            build_cpu_s: size.built.build_cpu_s,
            search_ms: size.searched.search_ms,
        }
    }
}

impl Laws {
    /// The laws of a machine's figures.
    pub fn of(figures: &Figures) -> Self {
        Self::through(figures, |_| true)
    }

    /// The laws of the sizes that `takes` chooses.
    fn through(figures: &Figures, takes: impl Fn(&SizeFigures) -> bool) -> Self {
        let sizes: Vec<(IndexSize, Predicted)> =
            figures.sizes.iter().filter(|size| takes(size)).map(|size| (size.into(), size.into())).collect();
        let lengths = || sizes.iter().map(|(size, _)| size.vectors / size.passages);
        let is_told = lengths().fold(0.0, f64::max) >= TOLD_APART * lengths().fold(f64::INFINITY, f64::min);
        let law = |terms: fn(&IndexSize) -> Terms, of: fn(&Predicted) -> f64| {
            // The first term is that of passages.
            let told =
                |[first, second, third, fourth]: Terms| [if is_told { first } else { 0.0 }, second, third, fourth];
            Law::through(&sizes.iter().map(|(size, figures)| (told(terms(size)), of(figures))).collect::<Vec<_>>())
        };
        let told = |[one, vectors, tokens, none]: Terms| [one, vectors, if is_told { tokens } else { 0.0 }, none];
        let searches: Vec<_> = sizes.iter().map(|(size, figures)| (told(size.search()), figures.search_ms)).collect();
        Self {
            disk: law(IndexSize::disk, |figures| figures.disk_bytes),
            memory: law(IndexSize::memory, |figures| figures.memory_bytes),
            build: law(IndexSize::build, |figures| figures.build_cpu_s),
            search: Power::through(&searches),
            most_vectors: sizes.iter().map(|(size, _)| size.vectors).fold(0.0, f64::max),
            nbits: figures.nbits,
            dim: figures.dim,
        }
    }

    /// Figures of an index with `nbits` per residual component. Residuals of other bits than the measured ones change
    /// the bytes, by their own number; times are taken as equal.
    pub fn at(&self, size: &IndexSize, nbits: u8) -> Predicted {
        let bits = (f64::from(nbits) - f64::from(self.nbits)) * self.dim as f64;
        let more_bytes = size.vectors * bits / 8.0;
        Predicted {
            disk_bytes: (self.disk.at(&size.disk()) + more_bytes).max(0.0),
            memory_bytes: (self.memory.at(&size.memory()) + more_bytes).max(0.0),
            build_cpu_s: self.build.at(&size.build()),
            search_ms: self.search_ms(size),
        }
    }

    /// Processor time of a build that trains the codec, of which one serves all shards.
    pub(super) fn train_cpu_s(&self, size: &IndexSize) -> f64 {
        self.build.at(&[0.0, 0.0, size.trained(), 0.0])
    }

    fn search_ms(&self, size: &IndexSize) -> f64 {
        let beyond = (size.vectors / self.most_vectors).max(1.0);
        let within = IndexSize { passages: size.passages / beyond, vectors: size.vectors / beyond, ..*size };
        self.search.at(&within.search()) * beyond.powf(self.search.0[1].max(FAR_EXPONENT))
    }
}

/// Predicts each size from all others.
pub fn leave_one_out(figures: &Figures) -> Vec<Check> {
    let check = |one: &SizeFigures| {
        let laws = Laws::through(figures, |size| size != one);
        let others = || figures.sizes.iter().filter(|size| *size != one).map(|size| size.vectors);
        Check {
            passages: one.passages,
            tokens: one.tokens(),
            predicted: laws.at(&one.into(), figures.nbits),
            measured: one.into(),
            is_outside: others().all(|vectors| vectors < one.vectors) || others().all(|vectors| vectors > one.vectors),
        }
    };
    figures.sizes.iter().map(check).collect()
}
