//! Writer of a new index, or of a change of one, which is invisible until it is complete.
//!
//! All files are written under hidden names in the target, renamed and synced to disk, the manifest last
//! (see `staging.rs`). A writer that is dropped before its end leaves the target as it was. The leftovers of a process
//! that dies are deleted by the next writer to the same target.

use crate::change::Base;
use crate::codec_file;
use crate::documents::{Document, Documents, DocumentsReader, DocumentsStage, RawDocument};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFileWriter};
use crate::manifest::{CodecEntry, Manifest, ManifestInfo, SourcesEntry};
use crate::segment::{PassageRows, SegmentRun, SegmentWriter};
use crate::spool::Spool;
use crate::staging::{FIRST_GENERATION, Staging};
use crate::storage::{Storage, storage_at};
use crate::words::Maker;
use selvedge_backend::Packed;
use selvedge_codec::Codec;
use std::path::Path;
use std::sync::Arc;

/// Sizes at which the writer starts a new segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of tokens per segment. Building its lists takes about 6 bytes of memory per token. A passage with
    /// more tokens gets a segment of its own.
    pub segment_tokens: u32,
    /// Memory of the columns and words of a segment, in bytes, at which it gets no more passages.
    pub held_bytes: usize,
}

impl Default for Limits {
    /// Returns limits of 128 Mi tokens per segment, hence about 0.8 GB of memory, and of 2 GiB for columns and words.
    fn default() -> Self {
        Self { segment_tokens: 1 << 27, held_bytes: 2 << 30 }
    }
}

/// Documents of passages that come.
pub(crate) struct Incoming {
    reader: DocumentsReader,
    pids: std::vec::IntoIter<u32>,
    count: u64,
}

impl Incoming {
    /// The documents of these pids, in this order.
    pub(crate) fn new(reader: DocumentsReader, pids: Vec<u32>) -> Self {
        Self { reader, count: pids.len() as u64, pids: pids.into_iter() }
    }

    /// The next document.
    fn next(&mut self) -> Result<RawDocument<'_>> {
        let (documents, passages) = (self.count, self.count + 1);
        let pid = self.pids.next().ok_or(Error::PassageCount { documents, passages })?;
        self.reader.raw(pid)
    }
}

/// Writer of a new index ([`Writer::create`]) or of a change of one ([`Writer::open`]).
///
/// A new index gets documents, then the codec, then passages, each in pid order, then [`Writer::finish`]. A change has
/// a codec already, may also delete and merge passages, and ends with [`Writer::commit`].
///
/// Without documents, passages get numbers as ids: the number of passages that were added to the index before. After a
/// call that fails while writing (such as to a full disk), the last one fails too. A call that refuses its input leaves
/// the writer as it was.
pub struct Writer {
    pub(crate) staging: Staging,
    pub(crate) limits: Limits,
    /// The index that is changed; `None` for a new one.
    pub(crate) base: Option<Base>,
    /// Number of the next file.
    pub(crate) next_number: u32,
    pub(crate) num_added: u64,
    pub(crate) documents: DocumentsStage,
    /// Documents of the passages that come; `None` if they get numbers as ids.
    pub(crate) incoming: Option<Incoming>,
    /// Maker of the words of segments; `None` for an index without words.
    pub(crate) maker: Maker,
    /// Codec that this writer was given; a change has that of the index otherwise.
    pub(crate) codec: Option<(Codec, CodecEntry)>,
    added: Option<SegmentRun>,
    num_passages: u64,
    /// Record of what the passages were read from: the index's own, until another one is set.
    pub(crate) sources: Option<SourcesEntry>,
    /// Whether other sources were set.
    has_sources: bool,
    /// Whether the passages that come are the passages of the index, compressed anew.
    pub(crate) is_rebuilt: bool,
    /// Sum and number of the residuals of passages that came.
    residuals: (f64, u64),
    /// Whether a write has failed.
    pub(crate) is_broken: bool,
}

impl Writer {
    /// Prepares an index at `path`, which must be absent or an empty directory; an existing directory is kept.
    ///
    /// # Errors
    /// [`Error::Exists`] where `path` is a file or a directory that is not empty, [`Error::Locked`] where another
    /// writer holds its lock, [`Error::Io`] where nothing can be written.
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_in(storage_at(path)?)
    }

    /// Prepares an index in `storage`, which must hold no file.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_in(storage: Arc<dyn Storage>) -> Result<Self> {
        Ok(Self::new(Staging::create(storage)?, None))
    }

    pub(crate) fn new(staging: Staging, base: Option<Base>) -> Self {
        let manifest = base.as_ref().map(|base| base.index.manifest());
        let next_number = manifest.map_or(0, |manifest| manifest.next_number);
        Self {
            staging,
            limits: Limits::default(),
            next_number,
            num_added: manifest.map_or(0, |manifest| manifest.num_added),
            documents: DocumentsStage::default(),
            incoming: None,
            is_rebuilt: false,
            sources: manifest.and_then(|manifest| manifest.sources),
            has_sources: false,
            maker: None,
            codec: None,
            base,
            added: None,
            num_passages: 0,
            residuals: (0.0, 0),
            is_broken: false,
        }
    }

    /// Sets the limits for all later passages.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Memory that grows with the documents, in bytes: 17 to 40 per id until [`Writer::finish_documents`], and 24 per
    /// block.
    pub fn bytes_held(&self) -> usize {
        self.documents.bytes_held()
    }

    /// Appends the document of the next passage.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::DuplicateId`], [`Error::Metadata`], [`Error::DocumentTooLarge`] and
    /// [`Error::TooMany`] refuse the document and leave the writer as it was, as does [`Error::IdExists`] where the
    /// index has a passage of this id and [`Writer::replace_existing`] was not called. [`Error::Io`] where it cannot be
    /// written.
    ///
    /// # Panics
    /// After [`Writer::finish_documents`] or [`Writer::rebuild`].
    pub fn push_document(&mut self, document: &Document) -> Result<()> {
        assert!(!self.is_rebuilt, "passages that are compressed anew keep their documents");
        let metadata = self.documents.admit(document)?;
        if let Some(base) = &mut self.base {
            base.admit(&document.id)?;
        }
        let result = self.documents.push(&**self.staging.hidden(), document, &metadata);
        self.note(result)
    }

    /// Ends the documents and opens them for reading, so that their texts can be encoded.
    ///
    /// # Errors
    /// [`Error::Io`] where the last block cannot be written or the file cannot be mapped.
    pub fn finish_documents(&mut self) -> Result<Documents> {
        let result = self.documents.close(&**self.staging.hidden());
        let documents = self.note(result)?;
        if !documents.is_empty() {
            self.incoming = Some(Incoming::new(documents.reader(), (0..documents.len() as u32).collect()));
        }
        Ok(documents)
    }

    /// Writes the codec of a new index, or of one whose passages are compressed anew.
    ///
    /// # Errors
    /// [`Error::Io`] where its file cannot be written.
    ///
    /// # Panics
    /// If the index has a codec.
    pub fn set_codec(&mut self, codec: &Codec) -> Result<()> {
        assert!(self.codec.is_none() && (self.base.is_none() || self.is_rebuilt), "an index has one codec");
        let number = self.next_number;
        self.next_number += 1;
        let result = codec_file::write(&**self.staging.hidden(), number, codec);
        let file = self.note(result)?;
        let params = &codec.params;
        let entry = CodecEntry {
            number,
            kind: codec.kind,
            dim: params.dim,
            num_centroids: params.num_centroids(),
            nbits: params.nbits,
            weight_bits: params.weight_bits,
            residual: None,
            file,
        };
        self.codec = Some((codec.clone(), entry));
        Ok(())
    }

    /// Stores what the passages were read from, as bytes in a format of the caller ([`Index::sources`]). A change that
    /// sets none keeps what the index has.
    ///
    /// # Errors
    /// [`Error::Io`] where their file cannot be written.
    ///
    /// # Panics
    /// If this writer has set them before.
    ///
    /// [`Index::sources`]: crate::Index::sources
    pub fn set_sources(&mut self, bytes: &[u8]) -> Result<()> {
        assert!(!self.has_sources, "a generation has one record of its sources");
        let number = self.next_number;
        self.next_number += 1;
        let result = write_sources(&**self.staging.hidden(), number, bytes);
        let file = self.note(result)?;
        (self.sources, self.has_sources) = (Some(SourcesEntry { number, file }), true);
        if let Some(base) = &mut self.base {
            base.is_changed = true;
        }
        Ok(())
    }

    /// Appends passages: `doclens (P) u32`, `codes (N) u32`, `packed` as returned by
    /// [`selvedge_backend::Backend::compress`]. Weight indices may be omitted if the codec has 0 weight bits.
    ///
    /// # Errors
    /// [`Error::Backend`] where a code is out of range, [`Error::TooMany`] where there are more passages than pids, and
    /// [`Error::IdExists`] where a number that a passage would get as its id is taken; the writer is then as it was.
    /// [`Error::PassageCount`] where there are more passages than documents. [`Error::Io`] where the passages cannot be
    /// written. The errors of [`Index::codec`](crate::Index::codec).
    ///
    /// # Panics
    /// Before the codec is set, if the lengths contradict each other, or if a weight index exceeds its bits.
    pub fn push_passages(&mut self, doclens: &[u32], codes: &[u32], packed: &Packed) -> Result<()> {
        let rows = PassageRows { doclens, codes, residuals: &packed.residuals, weights: &packed.weights };
        self.check_passages(rows)?;
        let result = self.write_passages(rows);
        self.note(result)
    }

    /// Notes shares that residuals have of the embeddings of passages that come, or of a part of them. Their mean says
    /// how well the passages fit the codec ([`Manifest::drift`]).
    pub fn note_residuals(&mut self, shares: impl IntoIterator<Item = f32>) {
        for share in shares {
            self.residuals.0 += f64::from(share);
            self.residuals.1 += 1;
        }
    }

    /// Mean of the noted residuals.
    pub(crate) fn mean_residual(&self) -> Option<f32> {
        let (sum, count) = self.residuals;
        (count > 0).then(|| (sum / count as f64) as f32)
    }

    /// Creates a temporary file for embeddings, on the file system of the index.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be created.
    pub fn spool(&self) -> Result<Spool> {
        Spool::create(&**self.staging.hidden())
    }

    /// Closes all files, writes the manifest and moves the new index into place.
    ///
    /// # Errors
    /// [`Error::Unfinished`] after a failed write, [`Error::NoCodec`], [`Error::PassageCount`], [`Error::Exists`] where
    /// foreign files have appeared in the target, [`Error::Io`]. The target is then as it was.
    ///
    /// # Panics
    /// If the writer changes an index: [`Writer::commit`] is its last call.
    pub fn finish(mut self, info: ManifestInfo) -> Result<Manifest> {
        assert!(self.base.is_none(), "a change is committed");
        let segments = self.close()?;
        let codec = self.codec.take().ok_or(Error::NoCodec)?.1;
        let manifest = Manifest {
            generation: FIRST_GENERATION,
            next_number: self.next_number,
            num_added: self.num_added,
            codec: CodecEntry { residual: codec.residual.or(self.mean_residual()), ..codec },
            encoder: info.encoder,
            build: info.build,
            search: info.search,
            language: self.language(),
            sources: self.sources,
            segments,
        };
        self.staging.finish(&manifest)?;
        Ok(manifest)
    }

    /// Ends documents and passages, and returns the segments of the latter.
    pub(crate) fn close(&mut self) -> Result<Vec<crate::SegmentEntry>> {
        if self.is_broken {
            return Err(Error::Unfinished);
        }
        let staged = self.documents.count();
        let documents = self.incoming.as_ref().map_or(u64::from(staged), |incoming| incoming.count);
        if documents != self.num_passages && (documents > 0 || self.incoming.is_some()) {
            return Err(Error::PassageCount { documents, passages: self.num_passages });
        }
        self.incoming = None;
        if staged > 0 {
            self.documents.remove(&**self.staging.hidden())?;
        }
        let mut segments = self.added.take().map_or(Ok(Vec::new()), SegmentRun::finish)?;
        let residual = self.mean_residual();
        segments.iter_mut().for_each(|segment| segment.residual = residual);
        Ok(segments)
    }

    /// Records a failed write.
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.is_broken |= result.is_err();
        result
    }

    /// Checks lengths, weight indices, codes, the number of passages and their ids, before anything is written.
    fn check_passages(&mut self, rows: PassageRows<'_>) -> Result<()> {
        rows.check(&self.codec()?.params)?;
        assert!(self.incoming.is_some() || self.documents.count() == 0, "documents are finished before their passages");
        let kept = self.base.as_ref().filter(|_| !self.is_rebuilt).map_or(0, |base| u64::from(base.num_pids()));
        let before = kept + self.num_passages;
        let (found, limit) = (before + rows.doclens.len() as u64, u64::from(u32::MAX));
        if found > limit {
            return Err(Error::TooMany { what: "passages", found, limit });
        }
        if self.incoming.is_none()
            && let Some(base) = &mut self.base
        {
            let numbers = self.num_added..self.num_added + rows.doclens.len() as u64;
            numbers.into_iter().try_for_each(|number| base.admit(&number.to_string()))?;
        }
        Ok(())
    }

    /// The codec of the passages that come.
    fn codec(&self) -> Result<&Codec> {
        match (&self.codec, self.base.as_ref().filter(|_| !self.is_rebuilt)) {
            (Some((codec, _)), _) => Ok(codec),
            (None, Some(base)) => base.index.codec(),
            (None, None) => panic!("the codec is set before passages are pushed"),
        }
    }

    fn write_passages(&mut self, rows: PassageRows<'_>) -> Result<()> {
        let (codec, maker) = (self.codec()?.params.clone(), self.maker()?);
        let Self { staging, limits, incoming, added, next_number, num_added, num_passages, .. } = self;
        let added = added.get_or_insert_with(|| SegmentRun::new(staging.hidden(), codec, maker));
        let is_rebuilt = self.is_rebuilt;
        let document = |segment: &mut SegmentWriter| {
            match incoming {
                Some(incoming) => segment.push_document(incoming.next()?)?,
                None => {
                    let number = num_added.to_string();
                    segment.push_document(RawDocument { id: number.as_bytes(), text: &[], metadata: &[] })?;
                }
            }
            *num_added += u64::from(!is_rebuilt);
            *num_passages += 1;
            Ok(())
        };
        added.push(rows, *limits, next_number, document)
    }
}

/// Writes the sources as file `number`.
fn write_sources(storage: &dyn Storage, number: u32, bytes: &[u8]) -> Result<FileEntry> {
    let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::Sources, number))?;
    out.write(bytes)?;
    out.finish()
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("target", &self.staging.target().root())
            .field("num_passages", &self.num_passages)
            .finish()
    }
}
