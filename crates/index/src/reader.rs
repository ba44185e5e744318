//! Opening an index: every file is mapped. Only the heads of inverted lists and the sets of deleted passages are
//! unpacked.

use crate::columns::{ColumnInfo, Columns};
use crate::deleted::Deleted;
use crate::documents::{Document, Documents, DocumentsFile, DocumentsPart, IdTable};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::{EncoderInfo, Manifest, SegmentEntry, SourcesEntry};
use crate::saturation::saturated_centroids;
use crate::segment::{Segment, SegmentFiles, check_contents};
use crate::snapshot::{Snapshot, is_outdated, newest_generation};
use crate::storage::{Storage, storage_at};
use crate::stored_codec::StoredCodec;
use bytes::Bytes;
use rayon::prelude::*;
use selvedge_backend::CodecSizes;
use selvedge_codec::Codec;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Extent of the checks that opening an index makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every header and length, all of the manifest, the head of each inverted list. The time grows with the number of
    /// files and centroids, not of passages. Corrupt bytes elsewhere are not detected; [`Index::codec`] detects those
    /// of the codec.
    Structure,
    /// All of `Structure`, every byte of every file against its checksum, every offset and code against its bounds.
    Checksums,
}

/// An open index: one generation of it, which stays as it is while writers commit others. Its files are mapped. Clones
/// share them.
#[derive(Clone, Debug)]
pub struct Index {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    snapshot: Snapshot,
    codec: Arc<StoredCodec>,
    documents: Documents,
    segments: Vec<Segment>,
    sources: Option<FramedFile>,
}

/// A segment with its documents, and the files that opening it has mapped.
struct Opened {
    segment: Segment,
    documents: DocumentsPart,
    /// The segment's files and its documents' files, to check; none if the segment was open before.
    files: Option<(SegmentFiles, Vec<FramedFile>)>,
}

impl Index {
    /// Opens the newest generation of the index at `path`.
    ///
    /// # Errors
    /// [`Error::NoIndex`], [`Error::OldFormat`], or the first defect found, with its file: [`Error::MissingFile`],
    /// [`Error::Io`], an error of the header (the variants from [`Error::BadMagic`] to [`Error::HeaderChecksum`]),
    /// [`Error::Checksum`], [`Error::Replaced`], [`Error::Manifest`], [`Error::CodecFile`], [`Error::Contents`],
    /// [`Error::InvertedLists`], [`Error::Documents`], [`Error::IdTable`], [`Error::Deleted`]; with
    /// [`Check::Checksums`] also the errors of [`Index::codec`].
    pub fn open(path: &Path, check: Check) -> Result<Self> {
        Self::open_in(storage_at(path)?, check)
    }

    /// Opens the newest generation of the index in `storage`.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_in(storage: Arc<dyn Storage>, check: Check) -> Result<Self> {
        Self::newest(storage, None, check)
    }

    /// Opens the newest generation if it is not this one: `None` if it is. Only segments that this generation lacks are
    /// opened and checked; the others are shared.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn refreshed(&self, check: Check) -> Result<Option<Self>> {
        if !is_outdated(&*self.storage, &self.snapshot)? {
            return Ok(None);
        }
        Self::newest(Arc::clone(&self.storage), Some(self), check).map(Some)
    }

    fn newest(storage: Arc<dyn Storage>, before: Option<&Self>, check: Check) -> Result<Self> {
        loop {
            let snapshot = Snapshot::newest(&*storage)?;
            let generation = snapshot.manifest.generation;
            match Self::of_snapshot(Arc::clone(&storage), snapshot, before, check) {
                // On a file system without locks, a writer may delete the files of a generation that is being opened.
                Err(Error::MissingFile { .. }) if newest_generation(&*storage)? != generation => {}
                opened => return opened,
            }
        }
    }

    fn of_snapshot(storage: Arc<dyn Storage>, snapshot: Snapshot, before: Option<&Self>, check: Check) -> Result<Self> {
        let manifest = &snapshot.manifest;
        prefetch(&*storage, manifest)?;
        let before = before.filter(|before| before.manifest().codec == manifest.codec);
        let codec = match before {
            Some(before) => Arc::clone(&before.codec),
            None => Arc::new(StoredCodec::open(&*storage, manifest)?),
        };
        let mut first_pid = 0;
        let mut opened = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            opened.push(open_segment(&*storage, entry, first_pid, before, codec.sizes)?);
            first_pid += entry.count;
        }
        let sources = open_sources(&*storage, manifest)?;
        if check == Check::Checksums {
            codec.get()?;
            sources.iter().try_for_each(FramedFile::check)?;
            opened.par_iter().try_for_each(|opened| check_segment_files(opened, codec.sizes))?;
        }
        let path = storage.root();
        let (generation, passages, num_segments) = (manifest.generation, manifest.num_passages(), opened.len());
        tracing::debug!(path = %path.display(), generation, passages, segments = num_segments, "index opened");
        let (segments, documents) = opened.into_iter().map(|opened| (opened.segment, opened.documents)).unzip();
        Ok(Self { storage, path, snapshot, codec, documents: Documents::new(documents), segments, sources })
    }

    /// The segment that has all files of `entry`, and its documents; its deleted passages may be others.
    fn part(&self, entry: &SegmentEntry) -> Option<(&Segment, &DocumentsPart)> {
        let is_same = |before: &SegmentEntry| SegmentEntry { deleted: entry.deleted, ..*before } == *entry;
        let at = self.manifest().segments.iter().position(is_same)?;
        Some((&self.segments[at], &self.documents.parts()[at]))
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Number of this generation; it grows with each commit.
    pub fn generation(&self) -> u32 {
        self.manifest().generation
    }

    /// Directory of the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Manifest of the index: sizes, files, model, build and search parameters.
    pub fn manifest(&self) -> &Manifest {
        &self.snapshot.manifest
    }

    pub(crate) fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.snapshot.manifest
    }

    /// Codec that all segments share. The first call reads its file and checks it; later ones are free.
    ///
    /// # Errors
    /// [`Error::Checksum`], [`Error::CodecFile`] or [`Error::Contents`] where the file is corrupt, [`Error::Manifest`]
    /// where it is of another kind than the manifest says, [`Error::Saturated`] if all centroids saturate.
    pub fn codec(&self) -> Result<&Codec> {
        self.codec.get()
    }

    /// Components per embedding, `D`.
    pub fn dim(&self) -> usize {
        self.codec.sizes.dim
    }

    /// Number of centroids whose similarities saturate for queries in their own direction, so that their passages
    /// may be misranked; 0 for every codec trained by this version. [`Index::codec`] logs a warning if some
    /// centroids saturate, and fails if all do. Each call reads all centroids, `O(K D)`.
    ///
    /// # Errors
    /// As [`Index::codec`].
    pub fn saturated_centroids(&self) -> Result<usize> {
        Ok(saturated_centroids(&self.codec()?.params))
    }

    /// Model that made the embeddings; `None` for an index of ready-made embeddings.
    pub fn encoder(&self) -> Option<&EncoderInfo> {
        self.manifest().encoder.as_ref()
    }

    /// Segments, in pid order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Number of passages that are not deleted.
    pub fn num_passages(&self) -> u32 {
        self.manifest().num_passages()
    }

    /// Number of pids, above every pid; deleted passages have theirs.
    pub fn num_pids(&self) -> u32 {
        self.documents.len() as u32
    }

    /// Number of tokens of passages that are not deleted.
    pub fn num_tokens(&self) -> u64 {
        self.manifest().num_tokens()
    }

    /// Stored documents; deleted passages have theirs.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Document of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] where `pid` is out of range, [`Error::Documents`] where its blocks are corrupt.
    pub fn document(&self, pid: u32) -> Result<Document> {
        self.documents.get(pid)
    }

    /// Id of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] where `pid` is out of range, [`Error::Documents`] where its block is corrupt.
    pub fn id(&self, pid: u32) -> Result<String> {
        self.documents.id(pid)
    }

    /// Pids of the passages that are not deleted, ascending.
    pub fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        let of_segment = |segment: &Segment| {
            let first = segment.first_pid;
            segment.deleted.alive(segment.passages.num_passages() as u32).map(move |pid| first + pid)
        };
        self.segments.iter().flat_map(of_segment)
    }

    /// Ids of the passages that are not deleted, in pid order. Each block of ids is unpacked once; [`Index::id`]
    /// unpacks one per call. An item is [`Error::Documents`] where its block is corrupt.
    pub fn ids(&self) -> impl Iterator<Item = Result<String>> + '_ {
        let mut documents = self.documents.reader();
        self.pids().map(move |pid| documents.id(pid))
    }

    /// Pid of the passage that has this id, if there is one that is not deleted.
    ///
    /// # Errors
    /// [`Error::Documents`] where a block of ids is corrupt.
    pub fn pid(&self, id: &str) -> Result<Option<u32>> {
        self.documents.pid(id)
    }

    /// Record of what the passages were read from, as given to [`Writer::set_sources`](crate::Writer::set_sources);
    /// `None` if none was given.
    ///
    /// # Errors
    /// [`Error::Checksum`] where the bytes are corrupt.
    pub fn sources(&self) -> Result<Option<Bytes>> {
        let Some(file) = &self.sources else { return Ok(None) };
        file.check()?;
        Ok(Some(file.payload.clone()))
    }

    /// Sizes of the columns of metadata, ascending by key and kind, deleted passages included. A key with values of
    /// several kinds has several.
    ///
    /// # Errors
    /// [`Error::NoColumns`] if a segment was made before columns were written.
    pub fn columns(&self) -> Result<Vec<ColumnInfo>> {
        let missing = || Error::NoColumns { path: self.path.clone() };
        let of_segments = self.segments.iter().map(|segment| segment.columns.as_ref().ok_or_else(missing));
        Ok(Columns::merged_infos(of_segments.collect::<Result<Vec<_>>>()?.into_iter()))
    }

    /// Bytes on disk per embedding of all files that search reads: all but documents, ids and sources.
    pub fn bytes_per_vector(&self) -> f64 {
        let bytes = self.bytes_on_disk().into_iter().filter(|(kind, _)| kind.is_searched());
        bytes.map(|(_, bytes)| bytes).sum::<u64>() as f64 / self.num_tokens().max(1) as f64
    }

    /// Bytes on disk of this generation by kind of file, headers included.
    pub fn bytes_on_disk(&self) -> BTreeMap<FileKind, u64> {
        let mut bytes = BTreeMap::from([(FileKind::Manifest, self.snapshot.manifest_entry.bytes)]);
        for (file, entry) in self.manifest().files() {
            *bytes.entry(file.kind).or_default() += entry.bytes;
        }
        bytes
    }
}

/// Prepares the storage for the files of a generation.
fn prefetch(storage: &dyn Storage, manifest: &Manifest) -> Result<()> {
    let names: Vec<String> = manifest.files().iter().map(|(file, _)| file.name()).collect();
    storage.prefetch(&names).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::MissingFile { path: storage.root() },
        _ => Error::Io { path: storage.root(), source },
    })
}

/// Opens a segment, or shares what is open of it in the generation `before`, which has the same codec.
fn open_segment(
    storage: &dyn Storage,
    entry: &SegmentEntry,
    first_pid: u32,
    before: Option<&Index>,
    codec: CodecSizes,
) -> Result<Opened> {
    let (deleted, deleted_file) = Deleted::open(storage, entry)?;
    let open = before.and_then(|before| before.part(entry));
    if let Some((segment, documents)) = open {
        let segment = Segment { first_pid, deleted: deleted.clone(), ..segment.clone() };
        return Ok(Opened {
            segment,
            documents: DocumentsPart { first_pid, deleted, ..documents.clone() },
            files: None,
        });
    }
    let columns = entry.columns.map(|named| Columns::open(storage, entry.number, named, entry.count)).transpose()?;
    let (columns, columns_file) = columns.unzip();
    let words =
        entry.words.map(|named| FramedFile::open_named(storage, IndexFile::new(FileKind::Words, entry.number), named));
    let words_file = words.transpose()?;
    let others = (columns, words_file.as_ref().map(|file| file.payload.clone()));
    let (segment, segment_files) = Segment::open(storage, entry, first_pid, others, deleted.clone(), codec)?;
    let name = IndexFile::new(FileKind::Documents, entry.number);
    let framed = FramedFile::open_named(storage, name, entry.documents)?;
    let file = Arc::new(DocumentsFile::open(&framed, entry.count)?);
    let (ids, ids_file) = IdTable::open(storage, entry)?;
    let documents = DocumentsPart { first_pid, count: entry.count, file, ids, deleted };
    let others = [framed, ids_file].into_iter().chain(columns_file).chain(words_file).chain(deleted_file).collect();
    Ok(Opened { segment, documents, files: Some((segment_files, others)) })
}

/// Checks every byte of the files of a segment, and every offset and code.
pub(crate) fn check_segment(storage: &dyn Storage, entry: &SegmentEntry, codec: CodecSizes) -> Result<()> {
    check_segment_files(&open_segment(storage, entry, 0, None, codec)?, codec)
}

/// Checks every byte of the files of a segment that was opened, and every offset and code.
fn check_segment_files(opened: &Opened, codec: CodecSizes) -> Result<()> {
    let Some((files, others)) = &opened.files else { return Ok(()) };
    files.par_iter().chain(others).try_for_each(FramedFile::check)?;
    check_contents(&opened.segment.passages, files, codec)
}

/// Opens the record of what the passages were read from, if there is one.
fn open_sources(storage: &dyn Storage, manifest: &Manifest) -> Result<Option<FramedFile>> {
    let open = |entry: SourcesEntry| {
        FramedFile::open_named(storage, IndexFile::new(FileKind::Sources, entry.number), entry.file)
    };
    manifest.sources.map(open).transpose()
}
