//! Errors of a run.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error that ends a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Failure to read embeddings or to build the index.
    #[error(transparent)]
    Selvedge(#[from] selvedge::Error),
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
    #[error(transparent)]
    Codec(#[from] selvedge_codec::Error),
    #[error(transparent)]
    Index(#[from] selvedge_index::Error),
    #[error(transparent)]
    Search(#[from] selvedge_search::Error),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Result file of another version of this benchmark.
    #[error("{path}: {source}; delete the file to measure again")]
    Kept { path: PathBuf, source: serde_json::Error },
    #[error("{path}: made from another source ({found} vectors, expected {expected}); delete its folder")]
    OtherSource { path: PathBuf, found: usize, expected: usize },
    #[error("{path}: holds no queries")]
    NoQueries { path: PathBuf },
    #[error("{path}: holds {found} tokens, too few to form clusters")]
    TooSmall { path: PathBuf, found: usize },
    /// Failure of a stage's process, which has printed its own message.
    #[error("stage {stage} for {passages} passages ended with {status}")]
    Stage { stage: &'static str, passages: usize, status: ExitStatus },
}

impl Error {
    /// Wraps an I/O error of `path`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
