//! What a passage is to a person: its id, its text and its metadata, in compressed blocks.
//!
//! In: documents in pid order. Out: any one of them, or a run of them in order.
//!
//! Ids and bodies (text and metadata) are two columns, each cut into blocks of its own size, since a
//! list of results needs a hundred ids and perhaps ten texts. A file covers a run of passages:
//!
//! | bytes | what |
//! |---|---|
//! | from 0 | blocks of both columns, in the order in which they were filled |
//! | | directory of the ids: one entry for each block |
//! | | directory of the bodies |
//! | last 16 | u32 documents, u32 id blocks, u32 body blocks, u32 zero |
//!
//! A block is one zstd frame with its checksum. Unpacked it is one record after the other:
//!
//! | column | record |
//! |---|---|
//! | ids | LEB128 length, id (UTF-8) |
//! | bodies | LEB128 length, text (UTF-8), LEB128 length, metadata (a JSON object; length 0 is none) |
//!
//! A directory entry is 24 bytes: u64 where the frame starts in the payload, u32 its bytes, u32 its
//! bytes when unpacked, u32 its first document (counted from the file's first), u32 its documents.
//! Blocks of a column follow each other, so the block of a document is found by binary search in the
//! mapped directory: opening costs nothing per document.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{DocumentIter, Documents};
pub(crate) use write::{DocumentsWriter, records};

/// What a passage is to a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The id that the collection gives it; unique in an index.
    pub id: String,
    /// Its text; empty where only embeddings were given.
    pub text: String,
    /// A JSON object with whatever else the collection knows of it.
    pub metadata: Option<serde_json::Value>,
}

/// Bytes after which a block of ids is full: unpacked in microseconds, for every result.
const ID_BLOCK_BYTES: usize = 4 << 10;

/// Bytes after which a block of bodies is full: large enough for zstd to find what texts share.
const BODY_BLOCK_BYTES: usize = 64 << 10;

/// Most bytes of a block, hence of a document: the directory has 32 bits for them.
const BLOCK_LIMIT: usize = 1 << 31;

/// zstd's own default: more costs much time and saves a few percent of blocks this small.
const ZSTD_LEVEL: i32 = 3;

/// Bytes of a directory entry.
const ENTRY_BYTES: usize = 24;

/// Bytes at the end of the payload.
const TRAILER_BYTES: usize = 16;

/// Where a block lies and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    start: u64,
    bytes: u32,
    unpacked_bytes: u32,
    first: u32,
    count: u32,
}

impl Block {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.start.to_le_bytes());
        for (i, value) in [self.bytes, self.unpacked_bytes, self.first, self.count].into_iter().enumerate() {
            bytes[8 + 4 * i..12 + 4 * i].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let start = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Self { start, bytes: word(8), unpacked_bytes: word(12), first: word(16), count: word(20) }
    }
}
