//! Every way in which a file, a document or a machine can fail this room.

use crate::files::FileKind;
use std::io;
use std::path::{Path, PathBuf};

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and with which values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something is already where the index should go.
    #[error("{}: already exists and is not an empty directory", path.display())]
    Exists {
        /// Where the index should go.
        path: PathBuf,
    },
    /// Another writer works in this folder.
    #[error("{}: another process is building or changing an index here (if none is, remove {})", path.display(), lock.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The lock that the other writer holds.
        lock: PathBuf,
    },
    /// A file that the index needs is not there.
    #[error("{}: missing", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// The file does not start as files of an index do.
    #[error("{}: not a file of a selvedge index (starts with {found:02x?})", path.display())]
    BadMagic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: [u8; 8],
    },
    /// The file has a format version that this program does not read.
    #[error("{}: format version {found}, but this program reads version {supported}", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// The file is of another kind than its name says.
    #[error("{}: expected a {expected} file, found kind {found}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What its name says.
        expected: FileKind,
        /// What its header says.
        found: u32,
    },
    /// The file has another number than its name says.
    #[error("{}: expected number {expected}, found {found}", path.display())]
    WrongNumber {
        /// The file.
        path: PathBuf,
        /// What its name says.
        expected: u32,
        /// What its header says.
        found: u32,
    },
    /// The file ends too early.
    #[error("{}: expected {expected_bytes} bytes, found {found_bytes}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that it should have.
        expected_bytes: u64,
        /// Bytes that it has.
        found_bytes: u64,
    },
    /// The file goes on after its end.
    #[error("{}: expected {expected_bytes} bytes, found {found_bytes}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that it should have.
        expected_bytes: u64,
        /// Bytes that it has.
        found_bytes: u64,
    },
    /// The header's bytes do not have the checksum that the header states.
    #[error("{}: header checksum {found:08x}, expected {expected:08x}", path.display())]
    HeaderChecksum {
        /// The file.
        path: PathBuf,
        /// What the header states.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
    /// The payload's bytes do not have the checksum that the header states.
    #[error("{}: checksum {found:08x}, expected {expected:08x}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the header states.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
    /// The file is whole, but it is not the one that the manifest names.
    #[error("{}: the manifest names {expected_bytes} bytes with checksum {expected:08x}, found {found_bytes} with {found:08x}", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// Bytes that the manifest names.
        expected_bytes: u64,
        /// Bytes that the file has.
        found_bytes: u64,
        /// Checksum that the manifest names.
        expected: u32,
        /// Checksum that the file states.
        found: u32,
    },
    /// A manifest that contradicts itself.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A codec file whose numbers make no codec.
    #[error("{}: {what} is {value}", path.display())]
    CodecFile {
        /// The codec file.
        path: PathBuf,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Numbers that the ops could not work with.
    #[error("{}: {source}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// Which rule they break.
        source: selvedge_backend::Error,
    },
    /// A lists file whose parts do not fit together.
    #[error("{}: {what}", path.display())]
    InvertedLists {
        /// The lists file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// An inverted list that is not what the codes of its segment say.
    #[error("{}: the list of code {code} does not hold the passages that have this code", path.display())]
    ListMismatch {
        /// The lists file.
        path: PathBuf,
        /// The list.
        code: u32,
    },
    /// A documents file whose parts do not fit together.
    #[error("{}: block at byte {at}: {what}", path.display())]
    Documents {
        /// The documents file.
        path: PathBuf,
        /// Where in its payload.
        at: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Two documents with one id.
    #[error("id {id:?} is used twice, by passages {first} and {second}")]
    DuplicateId {
        /// The id.
        id: String,
        /// The passage that had it first.
        first: u32,
        /// The passage that came with it again.
        second: u32,
    },
    /// An id that no document can have.
    #[error("the id of passage {pid}, {id:?}, {reason}")]
    InvalidId {
        /// The id.
        id: String,
        /// The passage that came with it.
        pid: u32,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Metadata that is not a JSON object.
    #[error("metadata of {id:?} is not a JSON object")]
    Metadata {
        /// Id of the document.
        id: String,
    },
    /// A document too large for a block.
    #[error("document {id:?} has {bytes} bytes, more than {limit}")]
    DocumentTooLarge {
        /// Id of the document.
        id: String,
        /// Bytes that it needs.
        bytes: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// More passages than a pid can number, or a passage with more tokens than an offset can.
    #[error("{what}: {found} is more than {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A code that names no centroid was handed to the writer.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
    /// Not as many passages as documents were written.
    #[error("{documents} documents, but {passages} passages")]
    PassageCount {
        /// Documents written.
        documents: u64,
        /// Passages written.
        passages: u64,
    },
    /// The index was to be finished before it had a codec.
    #[error("the index has no codec")]
    NoCodec,
    /// The index was to be finished although an earlier step had failed half-way.
    #[error("an earlier step failed, so the index cannot be finished")]
    Unfinished,
    /// A pid that the index does not have.
    #[error("passage {pid} does not exist: the index has {num_passages}")]
    NoSuchPassage {
        /// The pid.
        pid: u32,
        /// Passages of the index.
        num_passages: u32,
    },
}

impl Error {
    /// The file that this error is about, where it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Exists { path }
            | Self::Locked { path, .. }
            | Self::MissingFile { path }
            | Self::BadMagic { path, .. }
            | Self::FormatVersion { path, .. }
            | Self::WrongKind { path, .. }
            | Self::WrongNumber { path, .. }
            | Self::Truncated { path, .. }
            | Self::TrailingBytes { path, .. }
            | Self::HeaderChecksum { path, .. }
            | Self::Checksum { path, .. }
            | Self::Replaced { path, .. }
            | Self::Manifest { path, .. }
            | Self::CodecFile { path, .. }
            | Self::Contents { path, .. }
            | Self::InvertedLists { path, .. }
            | Self::ListMismatch { path, .. }
            | Self::Documents { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// Gives an I/O error its path.
pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}
