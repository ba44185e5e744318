//! The only room that knows a file name: segments, manifest, checksums, reader, writer.
//!
//! In: documents, a codec, codes and packed residuals. Out: a directory whose files never change, and
//! from it, mapped and uncopied, what the ops and the query funnel work with.
//!
//! ```text
//! index/
//!   manifest         what the index is made of; written last            JSON
//!   codec            centroids, levels, weight entries                   once for the index
//!   documents-0000   ids | texts and metadata                           zstd blocks, any run of passages
//!   offsets-0000     first token of each passage      \
//!   codes-0000       code of each token                \
//!   residuals-0000   packed residual of each token      > one segment:  any run of passages
//!   weights-0000      weight index of each token         /
//!   lists-0000       passages of each centroid        /
//! ```
//!
//! Every file has the same header ([`HEADER_BYTES`]: magic, version, kind, number, length, checksums),
//! and the manifest repeats length and checksum of each, so that a file of another index is noticed.
//! [`Writer`] fills a hidden directory and moves its files into place, the manifest last: an index is there as a whole
//! or not at all. Who changes an index holds `.selvedge.lock` in its directory meanwhile.
//! [`Index::open`] reads as little as [`Check`] asks for; [`verify()`] reads everything.
//!
//! The layouts are documented where they are written: the header in `framed_file.rs`, payloads in
//! `codec_file.rs`, `documents/mod.rs`, `segment.rs` and `lists/mod.rs`.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod bits;
mod codec_file;
mod commit;
mod disk;
mod documents;
mod error;
mod files;
mod framed_file;
mod lists;
mod manifest;
mod reader;
mod segment;
mod spool;
mod staging;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use commit::write_search;
pub use documents::{Document, DocumentIter, Documents, DocumentsReader};
pub use error::{Error, Result};
pub use files::{FileKind, IndexFile};
pub use framed_file::{FORMAT_VERSION, FileEntry, HEADER_BYTES, MAGIC};
pub use lists::{Cursor, InvertedLists};
pub use manifest::{BuildInfo, CodecEntry, DocumentsEntry, EncoderInfo, Manifest, ManifestInfo, SegmentEntry};
pub use reader::{Check, Index};
pub use segment::Segment;
pub use spool::{Spool, SpoolReader};
pub use verify::{FileReport, Report, verify};
pub use writer::{Limits, Writer};
