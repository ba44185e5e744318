//! Document store: id, text and metadata of each passage, in compressed blocks.
//!
//! In: documents in pid order. Out: any one of them, or a run of them in order, or the pid of an id.
//!
//! Ids and bodies (text and metadata) are two columns with blocks of different sizes, since a list of results needs
//! for example a hundred ids and ten texts. Each segment has a file (and a table of its ids, see `ids.rs`):
//!
//! | bytes | contents |
//! |---|---|
//! | from 0 | blocks of both columns, in the order in which they were filled |
//! | | directory of the ids: one entry per block |
//! | | directory of the bodies |
//! | last 16 | u32 documents, u32 id blocks, u32 body blocks, u32 zero |
//!
//! A block is one zstd frame with a checksum; unpacked, a sequence of records:
//!
//! | column | record |
//! |---|---|
//! | ids | LEB128 length, id (UTF-8) |
//! | bodies | LEB128 length, text (UTF-8), LEB128 length, metadata (a JSON object; length 0 is none) |
//!
//! A directory entry has 24 bytes: u64 offset of the frame in the payload, u32 bytes of the frame, u32 bytes
//! unpacked (at most 2^31), u32 first document (counted from the file's first), u32 number of documents.
//! Entries are in pid order without gaps, so the block of a document is found by binary search in the mapped
//! directory: opening costs nothing per document.

mod block;
mod document;
mod file;
mod ids;
mod read;
mod reader;
mod stage;
mod write;

pub use document::Document;
pub(crate) use file::DocumentsFile;
pub(crate) use ids::{IdTable, hash_of};
pub(crate) use read::DocumentsPart;
pub use read::{DocumentIter, Documents};
pub use reader::DocumentsReader;
pub(crate) use reader::RawDocument;
pub(crate) use stage::DocumentsStage;
pub(crate) use write::DocumentsWriter;
