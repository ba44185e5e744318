//! What a run may be told, and where it keeps what it makes.
//!
//! ```text
//! DIR/SOURCE/               codes, means and neighbours of the real collection        recipe.rs
//! DIR/SOURCE/len64-seed0/   one collection of each size:
//!     PASSAGES/index-2bit         the index, kept from run to run
//!     PASSAGES/build-2bit.json    what making it took
//!     PASSAGES/truth-100q.json    exact f32 MaxSim's top 10
//!     PASSAGES/query-2bit.json    what asking it took, measured anew by every run
//!     growth-2bit.svg             the plot
//! ```
//!
//! What is kept is not made again: after a change of the codec, the index, the memory budget or the
//! number of threads, delete `PASSAGES`.

use std::ffi::OsStr;
use std::path::PathBuf;

/// How query time, build time, bytes and memory grow with the collection.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "growth")]
pub struct Options {
    /// Sizes of the collections, in passages
    #[arg(long, value_delimiter = ',', default_values_t = [10_000usize, 30_000, 100_000, 300_000, 1_000_000])]
    pub sizes: Vec<usize>,
    /// Bits of a residual component
    #[arg(long, default_value_t = 2)]
    pub nbits: u8,
    /// Tokens of a passage on average
    #[arg(long, default_value_t = 64)]
    pub mean_len: usize,
    /// Queries, spread evenly over those of the source
    #[arg(long, default_value_t = 100)]
    pub queries: usize,
    /// The recall@10 of exact f32 MaxSim at which times of different sizes are compared
    #[arg(long, default_value_t = 0.9)]
    pub recall: f64,
    /// Passages up to which the exhaustive search is measured too
    #[arg(long, default_value_t = 100_000)]
    pub exhaustive_up_to: usize,
    /// Memory that a build may use, in MiB, as `selvedge index --memory-budget` has it
    #[arg(long, default_value_t = 4096)]
    pub memory_budget_mib: u64,
    /// Seed of the collections
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Real embeddings: a folder with docs.f16.npy, doclens.i32.npy, queries.f16.npy and qlens.i32.npy;
    /// SELVEDGE_EMBEDDINGS where it is not given, clusters made up where that is not set either
    #[arg(long)]
    pub embeddings: Option<PathBuf>,
    /// Where indexes are kept
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/growth"))]
    pub dir: PathBuf,
    /// The plot; in the folder of the collections where it is not given
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// What cargo gives to a benchmark
    #[arg(long, hide = true)]
    pub bench: bool,
    /// What this process does for its parent
    #[arg(long, hide = true, requires = "of")]
    pub stage: Option<Stage>,
    /// The size that it does it for; any for the recipe
    #[arg(long, hide = true)]
    pub of: Option<usize>,
}

/// What is done in a process of its own, so that peaks of memory do not mix.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The source's clusters and neighbours.
    Recipe,
    /// A collection's index.
    Build,
    /// Its exact ranking.
    Truth,
    /// The queries.
    Query,
}

impl Stage {
    /// The stage as its process is told it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Build => "build",
            Self::Truth => "truth",
            Self::Query => "query",
        }
    }
}

impl Options {
    /// The folder of real embeddings, where there is one.
    pub fn real_embeddings(&self) -> Option<PathBuf> {
        self.embeddings.clone().or_else(|| std::env::var_os("SELVEDGE_EMBEDDINGS").map(PathBuf::from))
    }

    /// The source's name: that of its folder.
    pub fn source_name(&self) -> String {
        let name = self.real_embeddings().and_then(|folder| Some(folder.file_name()?.to_owned()));
        name.as_deref().unwrap_or(OsStr::new("made-up")).to_string_lossy().into_owned()
    }

    /// What is kept of the source.
    pub fn source_dir(&self) -> PathBuf {
        self.dir.join(self.source_name())
    }

    /// The folder of embeddings to start from; made-up ones lie beside what is kept of them.
    pub fn embeddings_dir(&self) -> PathBuf {
        self.real_embeddings().unwrap_or_else(|| self.source_dir())
    }

    /// The collections of all sizes.
    fn collections_dir(&self) -> PathBuf {
        self.source_dir().join(format!("len{}-seed{}", self.mean_len, self.seed))
    }

    /// The collection of `passages`.
    pub fn size_dir(&self, passages: usize) -> PathBuf {
        self.collections_dir().join(passages.to_string())
    }

    /// The index of `passages`.
    pub fn index(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("index-{}bit", self.nbits))
    }

    /// What the index took to make.
    pub fn built(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("build-{}bit.json", self.nbits))
    }

    /// The exact ranking.
    pub fn truth(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("truth-{}q.json", self.queries))
    }

    /// What the queries took.
    pub fn queried(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("query-{}bit.json", self.nbits))
    }

    /// The plot.
    pub fn plot(&self) -> PathBuf {
        let kept = || self.collections_dir().join(format!("growth-{}bit.svg", self.nbits));
        self.svg.clone().unwrap_or_else(kept)
    }
}
