//! Errors of building, opening and searching.

use crate::Language;
use crate::pack::BadBlock;
use tantivy::TantivyError;
use tantivy::directory::error::OpenReadError;

/// A `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of this crate, with the values that broke the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Name that is not a [`Language`].
    #[error("unknown language {found:?}; the languages are {}", Language::names())]
    UnknownLanguage {
        /// Unknown name.
        found: String,
    },
    /// Bytes that do not begin as a segment.
    #[error("not a lexical segment: it begins with {found:?}")]
    NotASegment {
        /// First bytes, at most 8.
        found: Vec<u8>,
    },
    /// Segment of another version of the format.
    #[error("the lexical segment has format version {found}; this program reads version {supported}")]
    FormatVersion {
        /// Version of the segment.
        found: u32,
        /// Only version that can be read.
        supported: u32,
    },
    /// Segment that is shorter or longer than its header says.
    #[error("the lexical segment has {found} bytes instead of {expected}")]
    WrongLength {
        /// Bytes that the header asks for, or its own length if it is incomplete.
        expected: u64,
        /// Bytes of the segment.
        found: u64,
    },
    /// Header whose checksum is wrong.
    #[error("the header of the lexical segment is damaged: checksum {found:#010x} instead of {expected:#010x}")]
    BadHeader {
        /// Checksum in the header.
        expected: u32,
        /// Checksum of its bytes.
        found: u32,
    },
    /// Block of the segment whose checksum is wrong.
    #[error("block {block} of the lexical segment is damaged: checksum {found:#010x} instead of {expected:#010x}")]
    BadBlock {
        /// Number of the block.
        block: usize,
        /// Checksum in the header.
        expected: u32,
        /// Checksum of its bytes.
        found: u32,
    },
    /// Segment whose checksums are right and whose contents contradict each other, as in a forged file.
    #[error("the lexical segment contradicts itself: {reason}")]
    Inconsistent {
        /// Contradiction, in words.
        reason: String,
    },
    /// Segments of several languages in one view.
    #[error("segment {segment} is in {found}, the first in {expected}; one search analyses its query once")]
    MixedLanguages {
        /// Number of the segment.
        segment: usize,
        /// Language of the first segment.
        expected: Language,
        /// Language of this segment.
        found: Language,
    },
    /// Statistics from outside with a term in more passages than there are.
    #[error("of {passages} passages, {having} have the term {term:?}: these statistics are not of one collection")]
    BadStatistics {
        /// The term.
        term: String,
        /// Passages that are said to have the term.
        having: u64,
        /// Passages in all.
        passages: u64,
    },
    /// More passages or words than one segment holds.
    #[error("a lexical segment is full after {num_passages} passages that hold {held_bytes} bytes of memory")]
    SegmentFull {
        /// Passages in the segment.
        num_passages: u32,
        /// Memory that they hold.
        held_bytes: usize,
    },
    /// Failure of tantivy.
    #[error("tantivy: {0}")]
    Tantivy(#[source] TantivyError),
}

impl From<TantivyError> for Error {
    fn from(error: TantivyError) -> Self {
        // Damage that a read found comes back through tantivy as an I/O error.
        let io = match &error {
            TantivyError::IoError(io) | TantivyError::OpenReadError(OpenReadError::IoError { io_error: io, .. }) => io,
            _ => return Self::Tantivy(error),
        };
        if let Some(&BadBlock { block, expected, found }) = io.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::BadBlock { block, expected, found };
        }
        Self::Tantivy(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        TantivyError::from(error).into()
    }
}
