//! The index on disk: segments, documents, codec, manifest, checksums; its reader and its writer.
//!
//! In: documents, a codec, codes and packed residuals. Out: a directory of immutable files. They are mapped into
//! memory, and the ops and the search read the mapped arrays without a copy. No other crate knows a file name.
//!
//! ```text
//! index/
//!   manifest         table of contents; written last                    JSON
//!   codec            centroids, levels, weight entries                  one per index
//!   documents-0000   ids | texts and metadata                           zstd blocks, one file per 4 GiB
//!   offsets-0000     first token of each passage      \
//!   codes-0000       code of each token                \
//!   residuals-0000   packed residual of each token      > one segment per 2^27 tokens
//!   scales-0000      weight index of each token        /
//!   lists-0000       passages of each centroid        /
//! ```
//!
//! Every file has the same header ([`HEADER_BYTES`]: magic, version, kind, number, length, checksums). The manifest
//! repeats the length and the checksum of each file, so that a file of another index is detected.
//! [`Writer`] completes all files under hidden names and renames them, the manifest last: the index is either complete
//! or absent. A process that changes an index holds `.selvedge.lock` in its directory.
//! [`Index::open`] reads as little as [`Check`] allows; [`verify()`] reads everything.
//!
//! The layouts are documented where they are written: the header in `framed_file.rs`, payloads in
//! `codec_file.rs`, `documents/mod.rs`, `segment.rs` and `lists/mod.rs`. The crate's README is a tour of the code.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod bits;
mod codec_file;
mod commit;
mod documents;
mod error;
mod files;
mod framed_file;
mod lists;
mod manifest;
mod reader;
mod saturation;
mod segment;
mod spool;
mod staging;
mod storage;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use commit::{check_writable, write_search};
pub use documents::{Document, DocumentIter, Documents, DocumentsReader};
pub use error::{Error, Result};
pub use files::{FileKind, IndexFile};
pub use framed_file::{FORMAT_VERSION, FileEntry, HEADER_BYTES, MAGIC};
pub use lists::{Cursor, InvertedLists};
pub use manifest::{BuildInfo, CodecEntry, DocumentsEntry, EncoderInfo, Manifest, ManifestInfo, SegmentEntry};
pub use reader::{Check, Index};
pub use segment::Segment;
pub use spool::{Spool, SpoolReader};
pub use storage::{Directory, Lock, Memory, Storage, StoredFile, Temporary};
pub use verify::{FileReport, Report, verify, verify_in};
pub use writer::{Limits, Writer};
