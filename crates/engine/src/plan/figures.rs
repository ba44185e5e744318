//! Figures of a machine: sizes and times of indexes of several sizes, from which a plan follows.
//!
//! In: a JSON file that [`measure`](super::measure) has made, or the figures that are built in. Out: checked
//! [`Figures`].

use crate::{Error, Result};
use std::path::Path;

/// Figures that are built in: `benches/record/epyc-zen5-2c/plan.json`.
const BUILT_IN: &str = include_str!("../../../../benches/record/epyc-zen5-2c/plan.json");
/// Least number of indexes: as many as a law has coefficients.
pub(crate) const FEWEST_SIZES: usize = 4;

/// Figures of one machine.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Processor, and the version of selvedge.
    pub machine: String,
    /// Name of the backend that ran.
    pub backend: String,
    /// Number of cores.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Components of an embedding.
    pub dim: usize,
    /// Bits per residual component.
    pub nbits: u8,
    /// Tokens of each query.
    pub query_tokens: usize,
    /// Results of each search, which has the parameters of up to 65,536 passages for them.
    pub k: usize,
    /// Tokens that the shipped model encodes in a second on one core.
    pub encode_tokens_per_s: f64,
    /// Median time in which the shipped model encodes a query on one core.
    pub encode_query_ms: f64,
    /// Indexes that were measured.
    pub sizes: Vec<SizeFigures>,
}

/// Figures of one index.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SizeFigures {
    /// Number of passages.
    pub passages: u64,
    /// Number of embeddings.
    pub vectors: u64,
    /// Number of centroids.
    pub centroids: u64,
    /// Figures of the build.
    #[serde(flatten)]
    pub built: Built,
    /// Figures of searches.
    #[serde(flatten)]
    pub searched: Searched,
}

/// Figures of a build from embeddings.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Built {
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Processor time, of all cores together.
    pub build_cpu_s: f64,
    /// Time on the clock.
    pub build_wall_s: f64,
    /// Largest resident size of the process.
    pub build_peak_bytes: u64,
}

/// Figures of searches, one at a time on one core, without the encoding of the query.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Searched {
    /// Resident size of the process after exhaustive searches: its own memory, and all pages of the index.
    pub memory_bytes: u64,
    /// Median over the queries of each one's fastest search.
    pub search_ms: f64,
    /// Quantiles of the same, evenly spaced and ascending.
    pub search_quantiles_ms: Vec<f64>,
    /// Share of the exhaustive top k that is found.
    pub found: f64,
}

impl Figures {
    /// The figures that are built in.
    ///
    /// # Errors
    /// None, unless the program was built from a damaged file: the tests read it.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN, Path::new("the figures that are built in"))
    }

    /// Reads the figures of a file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::BadFile`] if it does not hold figures.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&std::fs::read_to_string(path).map_err(Error::io(path))?, path)
    }

    fn parse(json: &str, path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::BadFile { path: path.into(), reason };
        let figures: Self = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
        figures.check().map_err(bad)?;
        Ok(figures)
    }

    /// Checks that every figure can be a divisor, and that there are enough of them.
    fn check(&self) -> Result<(), String> {
        let found = self.sizes.len();
        if found < FEWEST_SIZES {
            return Err(format!("has {found} sizes, and a plan needs at least {FEWEST_SIZES}"));
        }
        if self.cores == 0 || self.dim == 0 || self.memory_bytes == 0 {
            return Err("cores, dim or memory_bytes is 0".into());
        }
        let of_machine = [("encode_tokens_per_s", self.encode_tokens_per_s), ("encode_query_ms", self.encode_query_ms)];
        check_positive(&of_machine, "the machine")?;
        self.sizes.iter().try_for_each(SizeFigures::check)
    }
}

impl SizeFigures {
    fn check(&self) -> Result<(), String> {
        let (built, searched) = (&self.built, &self.searched);
        let of_size = format!("the size of {} passages", self.passages);
        let figures = [
            ("passages", self.passages as f64),
            ("vectors", self.vectors as f64),
            ("centroids", self.centroids as f64),
            ("disk_bytes", built.disk_bytes as f64),
            ("build_cpu_s", built.build_cpu_s),
            ("memory_bytes", searched.memory_bytes as f64),
            ("search_ms", searched.search_ms),
        ];
        check_positive(&figures, &of_size)?;
        if searched.search_quantiles_ms.is_empty() {
            return Err(format!("search_quantiles_ms of {of_size} is empty"));
        }
        let quantiles: Vec<_> = searched.search_quantiles_ms.iter().map(|&ms| ("search_quantiles_ms", ms)).collect();
        check_positive(&quantiles, &of_size)?;
        if !searched.search_quantiles_ms.is_sorted() {
            return Err(format!("search_quantiles_ms of {of_size} are not ascending"));
        }
        Ok(())
    }

    /// Mean number of tokens of a passage.
    pub fn tokens(&self) -> f64 {
        self.vectors as f64 / self.passages as f64
    }
}

fn check_positive(figures: &[(&str, f64)], of: &str) -> Result<(), String> {
    match figures.iter().find(|(_, figure)| !(figure.is_finite() && *figure > 0.0)) {
        None => Ok(()),
        Some((name, figure)) => Err(format!("{name} of {of} is {figure}, expected a number above 0")),
    }
}
