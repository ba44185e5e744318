//! What can stop a run.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files of embeddings, or the build.
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
    /// A result that another version kept.
    #[error("{path}: {source}; delete it, and it is measured again")]
    Kept { path: PathBuf, source: serde_json::Error },
    #[error("{path}: made from another source ({found} vectors, expected {expected}); delete its folder")]
    OtherSource { path: PathBuf, found: usize, expected: usize },
    #[error("{path}: holds no queries")]
    NoQueries { path: PathBuf },
    #[error("{path}: holds {found} tokens, too few to make clusters of")]
    TooSmall { path: PathBuf, found: usize },
    /// A process said by itself what was wrong.
    #[error("stage {stage} for {passages} passages ended with {status}")]
    Stage { stage: &'static str, passages: usize, status: ExitStatus },
}

impl Error {
    /// Wraps what the system said of `path`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
