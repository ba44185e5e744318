//! Options of a run, and the paths of the files that it keeps.
//!
//! ```text
//! DIR/SOURCE/               clusters, means and neighbours of the real collection (recipe.rs)
//! DIR/SOURCE/len64-seed0/   one folder for each size:
//!     PASSAGES/index-2bit         the index, kept from run to run
//!     PASSAGES/build-2bit.json    time and memory of its build
//!     PASSAGES/truth-100q.json    top 10 of exact f32 MaxSim
//!     PASSAGES/query-2bit.json    time and memory of searches, measured again by every run
//!     growth-2bit.svg             the plot
//! ```
//!
//! Files that exist are used as they are: after a change of the codec, the index, the memory budget or the number of
//! threads, delete `PASSAGES`.

use std::ffi::OsStr;
use std::path::PathBuf;

/// Measures the growth of query time, build time, bytes and memory with the collection.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "growth")]
pub struct Options {
    /// Sizes of the collections, in passages
    #[arg(long, value_delimiter = ',', default_values_t = [10_000usize, 30_000, 100_000, 300_000, 1_000_000])]
    pub sizes: Vec<usize>,
    /// Bits per residual component
    #[arg(long, default_value_t = 2)]
    pub nbits: u8,
    /// Mean number of tokens of a passage
    #[arg(long, default_value_t = 64)]
    pub mean_len: usize,
    /// Number of queries, evenly spaced in the source
    #[arg(long, default_value_t = 100)]
    pub queries: usize,
    /// Recall@10 of exact f32 MaxSim at which times of different sizes are compared
    #[arg(long, default_value_t = 0.9)]
    pub recall: f64,
    /// Largest number of passages for which the exhaustive search is measured, too
    #[arg(long, default_value_t = 100_000)]
    pub exhaustive_up_to: usize,
    /// Maximum memory of a build in MiB, as in `selvedge index --memory-budget`
    #[arg(long, default_value_t = 4096)]
    pub memory_budget_mib: u64,
    /// Seed of the collections
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Real embeddings: a folder with docs.f16.npy, doclens.i32.npy, queries.f16.npy and qlens.i32.npy [default:
    /// SELVEDGE_EMBEDDINGS, or synthetic clusters if that is not set]
    #[arg(long)]
    pub embeddings: Option<PathBuf>,
    /// Folder of the indexes and results
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/growth"))]
    pub dir: PathBuf,
    /// File of the plot [default: in the folder of the collections]
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Flag that cargo passes to a benchmark
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Stage that this process runs for its parent
    #[arg(long, hide = true, requires = "of")]
    pub stage: Option<Stage>,
    /// Number of passages of the stage; any for the recipe
    #[arg(long, hide = true)]
    pub of: Option<usize>,
}

/// Part of a run that has its own process, so that peaks of memory are separate.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Clusters and neighbours of the source.
    Recipe,
    /// Index of a collection.
    Build,
    /// Exact ranking of a collection.
    Truth,
    /// Searches of an index.
    Query,
}

impl Stage {
    /// Returns the value of `--stage` for this stage.
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
    /// Returns the folder of real embeddings, if there is one.
    pub fn real_embeddings(&self) -> Option<PathBuf> {
        self.embeddings.clone().or_else(|| std::env::var_os("SELVEDGE_EMBEDDINGS").map(PathBuf::from))
    }

    /// Returns the name of the source: its folder's name, or `made-up`.
    pub fn source_name(&self) -> String {
        let name = self.real_embeddings().and_then(|folder| Some(folder.file_name()?.to_owned()));
        name.as_deref().unwrap_or(OsStr::new("made-up")).to_string_lossy().into_owned()
    }

    /// Folder of the statistics of the source.
    pub fn source_dir(&self) -> PathBuf {
        self.dir.join(self.source_name())
    }

    /// Folder of the source embeddings; synthetic ones are in the folder of their statistics.
    pub fn embeddings_dir(&self) -> PathBuf {
        self.real_embeddings().unwrap_or_else(|| self.source_dir())
    }

    /// Folder of the collections of all sizes.
    fn collections_dir(&self) -> PathBuf {
        self.source_dir().join(format!("len{}-seed{}", self.mean_len, self.seed))
    }

    /// Folder of the collection of `passages`.
    pub fn size_dir(&self, passages: usize) -> PathBuf {
        self.collections_dir().join(passages.to_string())
    }

    /// Path of the index of `passages`.
    pub fn index(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("index-{}bit", self.nbits))
    }

    /// File of the measurements of the build.
    pub fn built(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("build-{}bit.json", self.nbits))
    }

    /// File of the exact ranking.
    pub fn truth(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("truth-{}q.json", self.queries))
    }

    /// File of the measurements of the searches.
    pub fn queried(&self, passages: usize) -> PathBuf {
        self.size_dir(passages).join(format!("query-{}bit.json", self.nbits))
    }

    /// File of the plot.
    pub fn plot(&self) -> PathBuf {
        let kept = || self.collections_dir().join(format!("growth-{}bit.svg", self.nbits));
        self.svg.clone().unwrap_or_else(kept)
    }
}
