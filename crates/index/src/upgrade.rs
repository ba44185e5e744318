//! Conversion of an index of format 2, in place.
//!
//! Codec, documents and ids get files of their own per segment; offsets, codes, residuals, weights and lists stay as
//! they are. The index is of format 2 until the manifest of generation 1 appears, and of this format from then on; the
//! old manifest, codec and documents files are deleted afterwards.
//!
//! In format 2, `manifest` and `codec` have no number. Documents files cover runs of passages that are not a segment's,
//! or there are none, and ids are decimal pids.

use crate::columns::ColumnsBuilder;
use crate::deleted::Deleted;
use crate::documents::{Documents, DocumentsFile, DocumentsPart, DocumentsWriter, IdTable, RawDocument, hash_of};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::manifest::{BuildInfo, CodecEntry, EncoderInfo, Manifest, SegmentEntry};
use crate::snapshot::Snapshot;
use crate::staging::{FIRST_GENERATION, Staging};
use crate::storage::{Storage, storage_at};
use selvedge_codec::CodecKind;
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Number of the codec's new file.
const CODEC_NUMBER: u32 = 0;

/// A manifest of format 2.
#[derive(Deserialize)]
struct OldManifest {
    num_passages: u32,
    codec: OldCodec,
    encoder: Option<EncoderInfo>,
    build: BuildInfo,
    search: Option<serde_json::Value>,
    documents: Vec<OldDocuments>,
    segments: Vec<OldSegment>,
}

#[derive(Deserialize)]
struct OldCodec {
    kind: CodecKind,
    dim: usize,
    num_centroids: usize,
    nbits: u8,
    scale_bits: u8,
    file: FileEntry,
}

#[derive(Deserialize)]
struct OldDocuments {
    number: u32,
    first_pid: u32,
    count: u32,
    file: FileEntry,
}

#[derive(Deserialize)]
struct OldSegment {
    number: u32,
    first_pid: u32,
    count: u32,
    num_tokens: u32,
    offsets: FileEntry,
    codes: FileEntry,
    residuals: FileEntry,
    scales: FileEntry,
    lists: FileEntry,
}

/// Converts the index of format 2 at `path`; returns its new manifest, `None` if it is of the present format already.
///
/// # Errors
/// [`Error::NoIndex`], an error of the manifest, the codec or the documents, [`Error::Locked`] where another process
/// changes the index, [`Error::Io`] where it cannot be written. The index is then as it was.
pub fn upgrade(path: &Path) -> Result<Option<Manifest>> {
    upgrade_in(storage_at(path)?)
}

/// Converts the index in `storage`.
///
/// # Errors
/// As [`upgrade`].
pub fn upgrade_in(storage: Arc<dyn Storage>) -> Result<Option<Manifest>> {
    let Some(staging) = Staging::open_old(Arc::clone(&storage))? else {
        // A manifest that cannot be read is no index of the present format.
        return Snapshot::newest(&*storage).map(|_| None);
    };
    let (source, target) = (&**staging.target(), &**staging.hidden());
    let old = OldManifest::read(source)?;
    let documents = old.open_documents(source)?;
    let codec = old.copy_codec(source, target)?;
    let write = |segment: &OldSegment| segment.with_documents(&documents, target);
    let segments = old.segments.iter().map(write).collect::<Result<Vec<_>>>()?;
    let manifest = Manifest {
        generation: FIRST_GENERATION,
        next_number: segments.iter().map(|segment| segment.number).max().unwrap_or(CODEC_NUMBER).saturating_add(1),
        num_added: old.num_passages.into(),
        codec,
        encoder: old.encoder,
        build: old.build,
        search: old.search,
        language: None,
        sources: None,
        segments,
    };
    staging.finish(&manifest)?;
    Ok(Some(manifest))
}

/// Opens a file of an index of format 2 and checks every byte of it.
fn open_old(storage: &dyn Storage, file: IndexFile, named: Option<FileEntry>) -> Result<FramedFile> {
    let framed = FramedFile::open_as(storage, file, &file.old_name())?;
    let framed = named.map_or(Ok(framed.clone()), |named| framed.check_named(named))?;
    framed.check()?;
    Ok(framed)
}

impl OldManifest {
    fn read(storage: &dyn Storage) -> Result<Self> {
        let file = open_old(storage, IndexFile::manifest(0), None)?;
        let bad = |reason: String| Error::Manifest { path: file.path.clone(), reason };
        let manifest: Self = serde_json::from_slice(&file.payload).map_err(|error| bad(error.to_string()))?;
        let segments = manifest.segments.iter().map(|segment| (segment.first_pid, segment.count));
        let documents = manifest.documents.iter().map(|documents| (documents.first_pid, documents.count));
        let is_whole = |end: Option<u32>| end == Some(manifest.num_passages);
        if !is_whole(end_of(segments)) || !(manifest.documents.is_empty() || is_whole(end_of(documents))) {
            return Err(bad("its segments or documents are not those of all passages".to_owned()));
        }
        Ok(manifest)
    }

    /// Documents of all passages; none if ids are decimal pids.
    fn open_documents(&self, storage: &dyn Storage) -> Result<Documents> {
        let open = |old: &OldDocuments| {
            let framed = open_old(storage, IndexFile::new(FileKind::OldDocuments, old.number), Some(old.file))?;
            let file = Arc::new(DocumentsFile::open(&framed, old.count)?);
            let (ids, deleted) = (IdTable::default(), Deleted::default());
            Ok(DocumentsPart { first_pid: old.first_pid, count: old.count, file, ids, deleted })
        };
        Ok(Documents::new(self.documents.iter().map(open).collect::<Result<_>>()?))
    }

    /// Copies the codec, whose payload is the same, to a file with a number.
    fn copy_codec(&self, source: &dyn Storage, target: &dyn Storage) -> Result<CodecEntry> {
        let OldCodec { kind, dim, num_centroids, nbits, scale_bits: weight_bits, file } = self.codec;
        let old = open_old(source, IndexFile::new(FileKind::Codec, 0), Some(file))?;
        let mut new = FramedFileWriter::create(target, IndexFile::new(FileKind::Codec, CODEC_NUMBER))?;
        new.write(&old.payload)?;
        let (number, file) = (CODEC_NUMBER, new.finish()?);
        Ok(CodecEntry { number, kind, dim, num_centroids, nbits, weight_bits, residual: None, file })
    }
}

/// End of runs of passages, each of which must start at the end of the one before; `None` if one does not.
fn end_of(mut runs: impl Iterator<Item = (u32, u32)>) -> Option<u32> {
    runs.try_fold(0u32, |end, (first, count)| if first == end { end.checked_add(count) } else { None })
}

impl OldSegment {
    fn pids(&self) -> Range<u32> {
        self.first_pid..self.first_pid + self.count
    }

    /// Writes the documents, the table of ids and the columns of the segment.
    fn with_documents(&self, documents: &Documents, target: &dyn Storage) -> Result<SegmentEntry> {
        let mut writer = DocumentsWriter::create(target, self.number)?;
        let mut reader = documents.reader();
        let mut hashes = Vec::with_capacity(self.count as usize);
        let mut columns = ColumnsBuilder::default();
        for pid in self.pids() {
            let number = pid.to_string();
            let document = match documents.is_empty() {
                true => RawDocument { id: number.as_bytes(), text: &[], metadata: &[] },
                false => reader.raw(pid)?,
            };
            hashes.push(hash_of(document.id));
            columns.push(document.metadata);
            writer.push(document)?;
        }
        Ok(SegmentEntry {
            number: self.number,
            count: self.count,
            num_tokens: self.num_tokens,
            residual: None,
            offsets: self.offsets,
            codes: self.codes,
            residuals: self.residuals,
            weights: self.scales,
            lists: self.lists,
            documents: writer.finish()?,
            ids: IdTable::write(target, self.number, &hashes)?,
            columns: Some(columns.write(target, self.number)?),
            words: None,
            deleted: None,
        })
    }
}
