//! The index on disk: generations, segments, documents, codec, checksums; its readers and its writers.
//!
//! In: documents, a codec, codes and packed residuals. Out: a directory of immutable files. They are mapped into
//! memory, and the ops and the search read the mapped arrays without a copy. No other crate knows a file name.
//!
//! ```text
//! index/
//!   manifest-0007    table of contents of generation 7; written last    JSON
//!   codec-0000       centroids, levels, weight entries                  shared by all segments
//!   offsets-0003     first token of each passage      \
//!   codes-0003       code of each token                \
//!   residuals-0003   packed residual of each token      \
//!   scales-0003      weight index of each token          > segment 3: everything of a run of passages
//!   lists-0003       passages of each centroid          /
//!   texts-0003       ids | texts and metadata          /                zstd blocks
//!   ids-0003         passages by hashes of their ids  /
//!   columns-0003     passages by metadata            /
//!   words-0003       passages by words of their texts      bytes of their maker, if there is one
//!   deleted-0006     deleted passages of a segment                      roaring bitmap
//!   sources-0002     what the passages were read from                   bytes of the caller, if it stores any
//! ```
//!
//! Every file has the same header ([`HEADER_BYTES`]: magic, version, kind, number, length, checksums), and none is ever
//! changed. A commit adds files and a manifest with the next number, which names all files of the generation with their
//! lengths and checksums. The manifest with the highest number is the index.
//!
//! | | |
//! |---|---|
//! | [`Writer::create`], [`Writer::finish`] | a new index |
//! | [`Writer::open`], [`Writer::commit`] | a change: passages added, replaced, deleted, segments merged |
//! | [`Index::open`], [`Index::refreshed`] | the newest generation, which stays as it is while it is open |
//! | [`verify()`], [`upgrade()`] | every byte checked; an index of format 2 converted |
//!
//! One writer works at a time: it holds `.selvedge.lock`. It completes all files under hidden names and renames them,
//! the manifest last, so that a reader sees a change whole or not at all (`staging.rs`). Readers never wait: each holds
//! the manifest of its generation, and writers delete only the files of generations that no reader holds
//! (`snapshot.rs`).
//!
//! A passage has an id for ever, and a pid in each generation: its place among all passages, in the order in which they
//! were added, deleted ones included. A segment's number and the pid within it stay until the segment is merged.
//!
//! The layouts are documented where they are written: the header in `framed_file.rs`, payloads in `codec_file.rs`,
//! `documents/mod.rs`, `documents/ids.rs`, `columns/mod.rs`, `deleted.rs`, `segment/mod.rs` and `lists/mod.rs`. The
//! crate's README is a tour of the code.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod bits;
mod change;
mod codec_file;
mod columns;
mod commit;
mod compact;
mod deleted;
mod documents;
mod error;
mod files;
mod framed_file;
mod lists;
mod manifest;
mod merge;
mod reader;
mod saturation;
mod segment;
mod snapshot;
mod spool;
mod staging;
mod storage;
mod stored_codec;
#[cfg(test)]
mod tests;
mod upgrade;
mod verify;
mod words;
mod writer;

pub use columns::{ColumnInfo, Columns, Value, ValueKind, ValueType};
pub use commit::{check_unlocked, check_writable, write_search};
pub use compact::Policy;
pub use deleted::Deleted;
pub use documents::{Document, DocumentIter, Documents, DocumentsReader};
pub use error::{Error, Result};
pub use files::{FileKind, IndexFile};
pub use framed_file::{FORMAT_VERSION, FileEntry, HEADER_BYTES, MAGIC};
pub use lists::{Cursor, InvertedLists};
pub use manifest::{
    BuildInfo, CodecEntry, DeletedEntry, EncoderInfo, Manifest, ManifestInfo, SegmentEntry, SourcesEntry,
};
pub use reader::{Check, Index};
pub use roaring::RoaringBitmap;
pub use segment::Segment;
pub use snapshot::{Generation, generations_at, is_index};
pub use spool::{Spool, SpoolReader};
pub use storage::{Directory, Lock, Memory, Storage, StoredFile, Temporary, put_new, storage_at};
pub use upgrade::{upgrade, upgrade_in};
pub use verify::{FileReport, Report, verify, verify_in};
pub use words::{MakeWords, SegmentWords, WordsError};
pub use writer::{Limits, Writer};

/// The simulated disk of this crate's tests, which tests of other crates get by the feature `faults`.
#[cfg(any(test, feature = "faults"))]
pub mod faults {
    pub use crate::storage::{Faulty, Plan, Survival};
}
