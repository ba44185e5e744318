//! Errors: each names the file, the value that was found, and the value that was expected.

use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Failure of reading or writing an index of another program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// File or folder that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Folder in which no known format is recognized.
    #[error("{path}: {reason}; known are PLAID (ColBERT), fast-plaid, next-plaid, WARP and xtr-warp-rs")]
    Unknown {
        /// The folder.
        path: PathBuf,
        /// Contents of the folder instead.
        reason: String,
    },
    /// Version or variant of a known format that is not read.
    #[error("{path}: {found} is not supported: {reason}")]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// Name and version of the variant.
        found: String,
        /// Way out.
        reason: &'static str,
    },
    /// File whose contents are not what its format says.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Fault of the file, with the values.
        reason: String,
    },
    /// File whose number of entries contradicts other files.
    #[error("{path}: has {found} {of}, expected {expected}")]
    Count {
        /// The file.
        path: PathBuf,
        /// Kind of the entries, such as "codes".
        of: &'static str,
        /// Number that the other files have.
        expected: u64,
        /// Number that the file has.
        found: u64,
    },
    /// Code of an embedding that names no centroid.
    #[error("{path}: code {code} of embedding {embedding} names no centroid; there are {num_centroids}")]
    Code {
        /// The file.
        path: PathBuf,
        /// Number of the embedding in the file.
        embedding: u64,
        /// The code.
        code: i64,
        /// Number of centroids.
        num_centroids: usize,
    },
    /// Index that cannot be written in a format of another program.
    #[error("{path}: {reason}")]
    Export {
        /// The index.
        path: PathBuf,
        /// Reason, with the values.
        reason: String,
    },
    /// Words of passages that have no texts.
    #[error("{path}: holds no texts to make words of; a collection gives them")]
    Language {
        /// The source.
        path: PathBuf,
    },
    /// Operation that its progress asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Error of the codec.
    #[error(transparent)]
    Codec(#[from] selvedge_codec::Error),
    /// Error of the index.
    #[error(transparent)]
    Index(#[from] selvedge_index::Error),
    /// Error of reading a collection, or of compressing anew.
    #[error(transparent)]
    Engine(selvedge::Error),
}

/// A cancelled step of the engine is a cancelled import.
impl From<selvedge::Error> for Error {
    fn from(error: selvedge::Error) -> Self {
        match error {
            selvedge::Error::Cancelled => Self::Cancelled,
            error => Self::Engine(error),
        }
    }
}

impl Error {
    /// Returns a function that makes an I/O error at `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    /// The file or folder at fault, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Unknown { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Malformed { path, .. }
            | Self::Count { path, .. }
            | Self::Code { path, .. }
            | Self::Export { path, .. }
            | Self::Language { path } => Some(path),
            Self::Cancelled | Self::Codec(_) | Self::Index(_) | Self::Engine(_) => None,
        }
    }

    /// Makes the error of malformed contents.
    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.into(), reason: reason.into() }
    }
}
