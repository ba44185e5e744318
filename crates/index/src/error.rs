//! Errors of this crate: about the files of an index, the input of a writer, and the file system.

mod path;

use crate::files::FileKind;
use std::io;
use std::path::{Path, PathBuf};

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of reading or writing an index, with the file and the values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An I/O error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The target of a new index is neither absent nor an empty directory.
    #[error("{}: already exists and is not an empty directory", path.display())]
    Exists {
        /// Target of the new index.
        path: PathBuf,
    },
    /// Another writer holds the lock of this directory.
    #[error(
        "{}: {} is building or changing an index here; try again when it has ended (only where the file system has no \
         locks, a process that died leaves {}, to be deleted)",
        path.display(),
        if holder.is_empty() { "another process" } else { holder },
        lock.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Number and program of the process that holds the lock; empty where they are unknown.
        holder: String,
        /// Lock file that the other writer holds.
        lock: PathBuf,
    },
    /// A writer whose lock file was deleted, with the whole folder perhaps: another writer may be at work there.
    #[error("{}: the lock file {} was deleted while it was held; nothing was changed", path.display(), lock.display())]
    LockLost {
        /// The directory.
        path: PathBuf,
        /// Lock file that this writer held.
        lock: PathBuf,
    },
    /// Another writer was faster, in an object store, where writers of several machines do not wait for each other.
    #[error("{}: another writer has changed the index meanwhile; nothing was changed; try again", path.display())]
    Conflict {
        /// File that both have written.
        path: PathBuf,
    },
    /// An index of an earlier format.
    #[error("{}: an index of format {found}; convert it: selvedge upgrade {}", path.display(), path.display())]
    OldFormat {
        /// Directory of the index.
        path: PathBuf,
        /// Format version of the index.
        found: u32,
    },
    /// There is no index at a path.
    #[error("{}: there is no index at this path", path.display())]
    NoIndex {
        /// Path of a folder without the files of an index, of a file, or of nothing.
        path: PathBuf,
    },
    /// An index without a manifest.
    #[error("{}: the index has lost its manifest; restore it from a copy, or build it anew", path.display())]
    NoManifest {
        /// Directory of the index.
        path: PathBuf,
    },
    /// A segment without columns of metadata, of an index that was made before they were written.
    #[error("{}: made without columns of metadata; write them: selvedge compact {}", path.display(), path.display())]
    NoColumns {
        /// Directory of the index.
        path: PathBuf,
    },
    /// A file of the index is missing.
    #[error("{}: missing", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// The file does not start with the magic bytes of an index file.
    #[error("{}: not a file of a selvedge index (starts with {found:02x?})", path.display())]
    BadMagic {
        /// The file.
        path: PathBuf,
        /// First bytes of the file.
        found: [u8; 8],
    },
    /// The format version of the file is unsupported.
    #[error("{}: format version {found}, but this program reads up to version {supported}", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: u32,
        /// Newest version that this build reads.
        supported: u32,
    },
    /// The file is of another kind than its name says.
    #[error("{}: expected a {expected} file, found kind {found}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// Kind by its name.
        expected: FileKind,
        /// Kind by its header, as [`FileKind::number`] numbers them.
        found: u32,
    },
    /// The file has another number than its name says.
    #[error("{}: expected number {expected}, found {found}", path.display())]
    WrongNumber {
        /// The file.
        path: PathBuf,
        /// Number by its name.
        expected: u32,
        /// Number by its header.
        found: u32,
    },
    /// The file ends too early.
    #[error("{}: expected {expected_bytes} bytes, found {found_bytes}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header states, or that a codec's sizes require of its payload.
        expected_bytes: u64,
        /// Bytes of the file, or of the codec's payload.
        found_bytes: u64,
    },
    /// Bytes follow the end of the file's contents.
    #[error("{}: expected {expected_bytes} bytes, found {found_bytes}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the header states, the header included.
        expected_bytes: u64,
        /// Bytes on disk.
        found_bytes: u64,
    },
    /// The checksum of the header is wrong.
    #[error("{}: header checksum {found:08x}, expected {expected:08x}", path.display())]
    HeaderChecksum {
        /// The file.
        path: PathBuf,
        /// Checksum that the header states.
        expected: u32,
        /// Checksum of the bytes.
        found: u32,
    },
    /// The checksum of the payload is wrong.
    #[error("{}: checksum {found:08x}, expected {expected:08x}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Checksum that the header states.
        expected: u32,
        /// Checksum of the bytes.
        found: u32,
    },
    /// The file is sound, but it is not the one that the manifest names.
    #[error(
        "{}: the manifest names {expected_bytes} bytes with checksum {expected:08x}, \
         found {found_bytes} with {found:08x}",
        path.display()
    )]
    Replaced {
        /// The file.
        path: PathBuf,
        /// Bytes that the manifest names.
        expected_bytes: u64,
        /// Bytes of the file.
        found_bytes: u64,
        /// Checksum that the manifest names.
        expected: u32,
        /// Checksum that the file's header states.
        found: u32,
    },
    /// A manifest that contradicts itself.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Rule that it breaks.
        reason: String,
    },
    /// A number of the codec file is out of range.
    #[error("{}: invalid {what}: {value}", path.display())]
    CodecFile {
        /// The codec file.
        path: PathBuf,
        /// Name of the number.
        what: &'static str,
        /// Value of the number.
        value: u64,
    },
    /// All centroids of the codec saturate, so that similarities of different centroids are the same number.
    #[error(
        "{}: all {num_centroids} centroids saturate, so that searches would misrank; build the index anew",
        path.display()
    )]
    Saturated {
        /// The codec file.
        path: PathBuf,
        /// Number of centroids.
        num_centroids: usize,
    },
    /// A codec, an offset or a code that is out of the range that the ops rely on.
    #[error("{}: {source}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// Bound that the contents break.
        source: selvedge_backend::Error,
    },
    /// A lists file whose parts contradict each other.
    #[error("{}: {what}", path.display())]
    InvertedLists {
        /// The lists file.
        path: PathBuf,
        /// Rule that is broken.
        what: &'static str,
    },
    /// An inverted list that contradicts the codes of its segment.
    #[error("{}: the list of code {code} does not hold the passages that have this code", path.display())]
    ListMismatch {
        /// The lists file.
        path: PathBuf,
        /// Code whose list it is.
        code: u32,
    },
    /// A documents file whose parts contradict each other.
    #[error("{}: block at byte {at}: {what}", path.display())]
    Documents {
        /// The documents file.
        path: PathBuf,
        /// Offset of the block in the payload, in bytes; the end of the blocks or of the payload
        /// if the error is not in a block.
        at: u64,
        /// Rule that is broken.
        what: &'static str,
    },
    /// A table of ids that contradicts the ids, or itself.
    #[error("{}: {what}", path.display())]
    IdTable {
        /// The file.
        path: PathBuf,
        /// Rule that is broken.
        what: &'static str,
    },
    /// A set of deleted passages that does not fit its segment.
    #[error("{}: {what}", path.display())]
    Deleted {
        /// The file.
        path: PathBuf,
        /// Rule that is broken.
        what: &'static str,
    },
    /// Columns of metadata that do not fit their segment, or are damaged.
    #[error("{}: {what}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// Rule that is broken.
        what: &'static str,
    },
    /// Words of a segment that cannot be made.
    #[error("the words of a segment: {source}")]
    Words {
        /// Error of the maker.
        source: crate::words::WordsError,
    },
    /// A writer of an index with words that was not given their maker.
    #[error("{}: the index has words; the writer needs their maker", path.display())]
    WordsNeeded {
        /// Directory of the index.
        path: PathBuf,
    },
    /// An id that the index has, given to a passage that is added.
    #[error("id {id:?} exists in the index already; to replace its passage, update it")]
    IdExists {
        /// The id.
        id: String,
    },
    /// Two documents with one id.
    #[error("id {id:?} is used twice, by passages {first} and {second}")]
    DuplicateId {
        /// The id.
        id: String,
        /// First passage that has the id.
        first: u32,
        /// Second passage that has the id.
        second: u32,
    },
    /// An id that is blank or holds a line break or NUL.
    #[error("the id of passage {pid}, {id:?}, {reason}")]
    InvalidId {
        /// The id.
        id: String,
        /// The passage that has it.
        pid: u32,
        /// Rule that it breaks.
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
        /// Bytes of its larger column.
        bytes: usize,
        /// Largest number of bytes allowed.
        limit: usize,
    },
    /// More passages than there are pids.
    #[error("{found} {what}, but an index can have at most {limit}")]
    TooMany {
        /// Name of the things counted, in the plural.
        what: &'static str,
        /// Number of the things counted.
        found: u64,
        /// Largest number allowed.
        limit: u64,
    },
    /// A code that is out of range was passed to the writer.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
    /// The numbers of documents and passages written differ.
    #[error("{documents} documents, but {passages} passages")]
    PassageCount {
        /// Documents written.
        documents: u64,
        /// Passages written.
        passages: u64,
    },
    /// The index has no codec and cannot be finished.
    #[error("the index has no codec, so it cannot be finished")]
    NoCodec,
    /// A write failed earlier, so that the index cannot be finished.
    #[error("an earlier step failed, so the index cannot be finished")]
    Unfinished,
    /// A pid that is out of range.
    #[error("passage {pid} does not exist: the index has {num_passages} passages")]
    NoSuchPassage {
        /// The pid.
        pid: u32,
        /// Number of passages of the index.
        num_passages: u32,
    },
}

/// Adds the path to an I/O error.
pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}
