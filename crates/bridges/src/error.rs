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
    /// URL that names no collection.
    #[error("{url}: not the URL of a collection: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// Fault of the URL, and one that is expected.
        reason: &'static str,
    },
    /// Server that does not answer.
    #[error(
        "{url}: no answer at attempt {attempts}: {reason}; is the server running, and the port that of its REST API?"
    )]
    Unreachable {
        /// URL of the collection.
        url: String,
        /// Number of attempts.
        attempts: u32,
        /// Failure of the last one.
        reason: String,
    },
    /// Request that a server refuses.
    #[error("{url}: HTTP {status}: {message}{}", hint(*status))]
    Status {
        /// URL of the collection.
        url: String,
        /// HTTP status.
        status: u16,
        /// Beginning of the server's message.
        message: String,
    },
    /// Answer of a server that is not as its API says.
    #[error("{url}: {reason}")]
    Answer {
        /// URL of the collection.
        url: String,
        /// Fault of the answer.
        reason: String,
    },
    /// Vectors that cannot be chosen, or are not compared by MaxSim.
    #[error("{url}: {reason}; multivectors of this collection: {}", names.join(", "))]
    Vectors {
        /// URL of the collection.
        url: String,
        /// Reason.
        reason: String,
        /// Names of its multivectors.
        names: Vec<String>,
    },
    /// Columns that cannot be chosen.
    #[error("{path}: {reason}; columns to choose from: {}", names.join(", "))]
    Columns {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
        /// Names of the columns that there are to choose from.
        names: Vec<String>,
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
}

/// Way out of a status.
fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; give an API key that may read the collection",
        404 => "; is the name of the collection right?",
        300..=399 => "; give the address that the server redirects to",
        _ => "",
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
            | Self::Columns { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Makes the error of malformed contents.
    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.into(), reason: reason.into() }
    }
}
