//! Failures of a command, and their exit codes.

use std::path::PathBuf;

/// A `Result` of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A command line that asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// An index that `verify` found broken; each file's reason is in its report.
    #[error("{path}: {broken} of {files} files are broken; make the index again from its collection")]
    Broken {
        /// The index.
        path: PathBuf,
        /// Files that are broken.
        broken: usize,
        /// Files in all.
        files: usize,
    },
    /// Standard output that cannot be written.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// The library.
    #[error(transparent)]
    Engine(#[from] selvedge::Error),
    /// The trainer.
    #[error(transparent)]
    Trainer(#[from] selvedge_trainer::Error),
}

impl Error {
    /// The process' exit code: 2 for usage, 1 for bad input and failures.
    pub(crate) fn exit_code(&self) -> u8 {
        use selvedge::Error::{NoEncoder, NoQueryTexts, NoText, NothingFound, NothingTuned};
        match self {
            Self::Usage(_) | Self::Engine(NoEncoder | NoText | NoQueryTexts | NothingFound | NothingTuned { .. }) => 2,
            _ => 1,
        }
    }
}

impl Error {
    /// The flags that help, where the library's message cannot name them.
    pub(crate) fn flags(&self) -> Option<&'static str> {
        use selvedge::Error as E;
        match self {
            Self::Engine(E::Budget { .. }) => Some("--memory-budget"),
            Self::Engine(E::NoEncoder) => Some("--query-embeddings, --model"),
            Self::Engine(E::OtherEncoder { .. }) => Some("--model, --any-model"),
            Self::Engine(E::RememberedModel { .. }) => Some("--model"),
            Self::Engine(E::NoText) => Some("--embeddings, --doclens"),
            Self::Engine(E::NoQueryTexts) => Some("--queries"),
            Self::Engine(E::NothingTuned { .. }) => Some("--recall"),
            _ => None,
        }
    }
}

/// The errors of the crates below, as the library's.
macro_rules! from_below {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Engine(error.into())
            }
        })*
    };
}
from_below!(selvedge_backend::Error, selvedge_encoder::Error, selvedge_index::Error, selvedge_search::Error);
