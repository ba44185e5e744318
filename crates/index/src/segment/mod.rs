//! One segment: everything of a run of passages. Its files never change.
//!
//! In: passages in pid order, with codes, packed residuals, weight indices and documents. Out: eight files. Four
//! payloads are the arrays of [`CompressedPassages`] as the ops read them:
//!
//! | file | payload |
//! |---|---|
//! | offsets | `(P + 1) u32` little-endian: first token of each passage, end of the last |
//! | codes | bit-packed, [`selvedge_backend::pack_codes`] |
//! | residuals | `(N, W) u8` |
//! | scales (the format's word for weights) | weight indices, `weight_bits` each, [`selvedge_backend::pack_weights`] |
//! | lists | [`InvertedLists`] |
//! | texts (the format's word for documents) | `documents/mod.rs` |
//! | ids | `documents/ids.rs` |
//! | columns | `columns/mod.rs` |
//! | words | of their maker (`words.rs`), in an index with words |
//!
//! All but the lists, the ids, the columns and the words are streamed. The lists are built at the end from the mapped
//! offsets and codes by counting sort, which takes 4 bytes per entry and 20 per centroid, plus the encoded lists; the
//! table of ids takes 12 bytes per passage.

mod inverted;
mod run;
mod write;

pub(crate) use inverted::Inverted;
pub(crate) use run::{PassageRows, SegmentRun};
pub(crate) use write::SegmentWriter;

use crate::columns::Columns;
use crate::deleted::Deleted;
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FramedFile, OLD_VERSION};
use crate::lists::InvertedLists;
use crate::manifest::SegmentEntry;
use crate::storage::Storage;
use bytes::Bytes;
use selvedge_backend::{CodecSizes, CompressedPassages};

/// One segment of an open index.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Pid of the first passage in this generation. Pids within the segment start at 0 and are relative to it.
    pub first_pid: u32,
    /// Offsets, codes, residuals and weight indices, in passage order.
    pub passages: CompressedPassages,
    /// Passages of each centroid, by pids within the segment; deleted ones are among them.
    pub lists: InvertedLists,
    /// Columns of the metadata; `None` in a segment that was made before they were written.
    pub columns: Option<Columns>,
    /// Words of the texts, in the format of their maker; `None` in an index without words.
    pub words: Option<Bytes>,
    /// Deleted passages.
    pub deleted: Deleted,
}

/// Files that [`Segment::open`] maps: offsets, codes, residuals, weights, lists.
pub(crate) type SegmentFiles = [FramedFile; 5];

impl Segment {
    /// Maps the files of a segment and checks their lengths against each other and the codec.
    pub(crate) fn open(
        storage: &dyn Storage,
        entry: &SegmentEntry,
        first_pid: u32,
        (columns, words): (Option<Columns>, Option<Bytes>),
        deleted: Deleted,
        codec: CodecSizes,
    ) -> Result<(Self, SegmentFiles)> {
        let open = |kind, named| FramedFile::open_named(storage, IndexFile::new(kind, entry.number), named);
        let files = [
            open(FileKind::Offsets, entry.offsets)?,
            open(FileKind::Codes, entry.codes)?,
            open(FileKind::Residuals, entry.residuals)?,
            open(FileKind::Weights, entry.weights)?,
            open(FileKind::InvertedLists, entry.lists)?,
        ];
        let passages = CompressedPassages {
            offsets: files[0].payload.clone(),
            codes: files[1].payload.clone(),
            residuals: files[2].payload.clone(),
            weights: files[3].payload.clone(),
        };
        check_lengths(&files, &passages, entry, codec)?;
        let lists = open_lists(&files[4], entry, codec)?;
        Ok((Self { first_pid, passages, lists, columns, words, deleted }, files))
    }
}

/// Checks the lengths of the four arrays; an error names the file of the array.
fn check_lengths(
    files: &SegmentFiles,
    passages: &CompressedPassages,
    entry: &SegmentEntry,
    codec: CodecSizes,
) -> Result<()> {
    let at = |file: &FramedFile, source| Error::Contents { path: file.path.clone(), source };
    let expect = |array, expected: usize, found: usize| {
        if expected == found {
            return Ok(());
        }
        Err(at(&files[0], selvedge_backend::Error::ArrayLength { array, expected, found }))
    };
    expect("offsets", (entry.count as usize + 1) * 4, passages.offsets.len())?;
    expect("first offset", 0, passages.offset(0))?;
    expect("last offset", entry.num_tokens as usize, passages.num_tokens())?;
    passages.validate_lengths(codec).map_err(|source| {
        let file = match &source {
            selvedge_backend::Error::ArrayLength { array: "codes", .. } => &files[1],
            selvedge_backend::Error::ArrayLength { array: "residuals", .. } => &files[2],
            selvedge_backend::Error::ArrayLength { array: "weights", .. } => &files[3],
            _ => &files[0],
        };
        at(file, source)
    })
}

/// Parses the heads of the lists. Checks that there is one list per centroid and that the number of passages
/// is that of the segment.
fn open_lists(file: &FramedFile, entry: &SegmentEntry, codec: CodecSizes) -> Result<InvertedLists> {
    let bad = |what| Error::InvertedLists { path: file.path.clone(), what };
    let lists = InvertedLists::parse(&file.payload, file.version == OLD_VERSION).map_err(bad)?;
    if lists.num_lists() != codec.num_centroids {
        return Err(bad("not one list for each centroid"));
    }
    if lists.num_passages() != entry.count {
        return Err(bad("made for another number of passages"));
    }
    Ok(lists)
}

/// Checks every offset and code; an error names the file.
pub(crate) fn check_contents(passages: &CompressedPassages, files: &SegmentFiles, codec: CodecSizes) -> Result<()> {
    passages.validate(codec).map_err(|source| {
        let file = match &source {
            selvedge_backend::Error::CodeOutOfRange { .. } => &files[1],
            _ => &files[0],
        };
        Error::Contents { path: file.path.clone(), source }
    })
}
