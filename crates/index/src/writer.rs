//! Writer of a new index, which is invisible until it is complete.
//!
//! All files are written under hidden names in the target, synced to disk, and renamed, the manifest last
//! (see `staging.rs`). A writer that is dropped before [`Writer::finish`] leaves the target as it was. The leftovers of
//! a process that dies are deleted by the next writer to the same target.

use crate::codec_file;
use crate::documents::{Document, Documents, DocumentsStage};
use crate::error::{Error, Result};
use crate::manifest::{CodecEntry, Manifest, ManifestInfo, SegmentEntry};
use crate::segment::SegmentWriter;
use crate::spool::Spool;
use crate::staging::Staging;
use crate::storage::{Directory, Storage};
use selvedge_backend::Packed;
use selvedge_codec::Codec;
use std::path::Path;
use std::sync::Arc;

/// Sizes at which the writer starts a new segment or a new documents file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of tokens per segment. Building its lists takes about 6 bytes of memory per token. A passage with
    /// more tokens gets a segment of its own.
    pub segment_tokens: u32,
    /// Number of bytes in a documents file after which the next document starts a new file.
    pub documents_bytes: u64,
}

impl Default for Limits {
    /// Returns limits of 128 Mi tokens per segment, hence about 0.8 GB of memory, and of 4 GiB per documents file.
    fn default() -> Self {
        Self { segment_tokens: 1 << 27, documents_bytes: 4 << 30 }
    }
}

/// Writer of a new index: documents, then the codec, then passages, each in pid order, then [`Writer::finish`].
///
/// Without documents, ids are the decimal pids. After a call that fails while writing (such as to a full disk),
/// [`Writer::finish`] fails too. A call that refuses its input leaves the writer as it was.
pub struct Writer {
    staging: Staging,
    limits: Limits,
    documents: DocumentsStage,
    codec: Option<(Codec, CodecEntry)>,
    segment: Option<SegmentWriter>,
    segments: Vec<SegmentEntry>,
    num_passages: u32,
    num_tokens: u64,
    /// Whether a write has failed.
    is_broken: bool,
}

impl Writer {
    /// Prepares an index at `path`, which must be absent or an empty directory; an existing directory is kept.
    ///
    /// # Errors
    /// [`Error::Exists`] where `path` is a file or a directory that is not empty, [`Error::Locked`] where another
    /// writer holds its lock, [`Error::Io`] where nothing can be written.
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_in(Arc::new(Directory::new(path)))
    }

    /// Prepares an index in `storage`, which must hold no file.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_in(storage: Arc<dyn Storage>) -> Result<Self> {
        Ok(Self {
            staging: Staging::create(storage)?,
            limits: Limits::default(),
            documents: DocumentsStage::default(),
            codec: None,
            segment: None,
            segments: Vec::new(),
            num_passages: 0,
            num_tokens: 0,
            is_broken: false,
        })
    }

    /// Sets the limits for all later documents and passages.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Memory that grows with the documents, in bytes: 17 to 40 per id until [`Writer::finish_documents`], and 24 per
    /// block of the open documents file.
    pub fn bytes_held(&self) -> usize {
        self.documents.bytes_held()
    }

    /// Appends the document of the next passage.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::DuplicateId`], [`Error::Metadata`], [`Error::DocumentTooLarge`] and
    /// [`Error::TooMany`] refuse the document and leave the writer as it was. [`Error::Io`] where it cannot be written.
    ///
    /// # Panics
    /// After [`Writer::finish_documents`].
    pub fn push_document(&mut self, document: &Document) -> Result<()> {
        let records = self.documents.admit(document)?;
        let result = self.documents.push(&**self.staging.hidden(), self.limits.documents_bytes, &document.id, &records);
        self.note(result)
    }

    /// Ends the documents and opens them for reading, so that their texts can be encoded.
    ///
    /// # Errors
    /// [`Error::Io`] where the last file cannot be written or mapped.
    pub fn finish_documents(&mut self) -> Result<Documents> {
        let result = self.documents.close();
        self.note(result)?;
        self.documents.open(&**self.staging.hidden())
    }

    /// Writes the codec.
    ///
    /// # Errors
    /// [`Error::Io`] where its file cannot be written.
    ///
    /// # Panics
    /// If called twice.
    pub fn set_codec(&mut self, codec: &Codec) -> Result<()> {
        assert!(self.codec.is_none(), "an index has one codec");
        let result = codec_file::write(&**self.staging.hidden(), codec);
        let file = self.note(result)?;
        let params = &codec.params;
        let entry = CodecEntry {
            kind: codec.kind,
            dim: params.dim,
            num_centroids: params.num_centroids(),
            nbits: params.nbits,
            weight_bits: params.weight_bits,
            file,
        };
        self.codec = Some((codec.clone(), entry));
        Ok(())
    }

    /// Appends passages: `doclens (P) u32`, `codes (N) u32`, `packed` as returned by
    /// [`selvedge_backend::Backend::compress`]. Weight indices may be omitted if the codec has 0 weight bits.
    ///
    /// # Errors
    /// [`Error::Backend`] where a code is out of range and [`Error::TooMany`] where there are more passages than
    /// pids; the writer is then as it was. [`Error::Io`] where the passages cannot be written.
    ///
    /// # Panics
    /// Before [`Writer::set_codec`], if the lengths contradict each other, or if a weight index exceeds its bits.
    pub fn push_passages(&mut self, doclens: &[u32], codes: &[u32], packed: &Packed) -> Result<()> {
        self.check_passages(doclens, codes, packed)?;
        let result = self.write_passages(doclens, codes, packed);
        self.note(result)
    }

    /// Creates a temporary file for embeddings, on the file system of the index.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be created.
    pub fn spool(&self) -> Result<Spool> {
        Spool::create(&**self.staging.hidden())
    }

    /// Closes all files, writes the manifest and moves the index into place.
    ///
    /// # Errors
    /// [`Error::Unfinished`] after a failed write, [`Error::NoCodec`], [`Error::PassageCount`], [`Error::Exists`] where
    /// foreign files have appeared in the target, [`Error::Io`]. The target is then as it was.
    pub fn finish(mut self, info: ManifestInfo) -> Result<Manifest> {
        if self.is_broken {
            return Err(Error::Unfinished);
        }
        self.documents.close()?;
        self.close_segment()?;
        let (_, codec) = self.codec.take().ok_or(Error::NoCodec)?;
        let documents = self.documents.take_files();
        let num_documents = documents.iter().map(|file| u64::from(file.count)).sum();
        if !documents.is_empty() && num_documents != u64::from(self.num_passages) {
            return Err(Error::PassageCount { documents: num_documents, passages: self.num_passages.into() });
        }
        let manifest = Manifest {
            num_passages: self.num_passages,
            num_tokens: self.num_tokens,
            codec,
            encoder: info.encoder,
            build: info.build,
            search: info.search,
            documents,
            segments: std::mem::take(&mut self.segments),
        };
        manifest.write(&**self.staging.hidden())?;
        self.staging.finish(&manifest)?;
        Ok(manifest)
    }

    /// Records a failed write.
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.is_broken |= result.is_err();
        result
    }

    /// Checks lengths, weight indices, codes and the number of passages, before anything is written.
    fn check_passages(&self, doclens: &[u32], codes: &[u32], packed: &Packed) -> Result<()> {
        let params = &self.codec.as_ref().expect("the codec is set before passages are pushed").0.params;
        let num_tokens = doclens.iter().map(|&doclen| doclen as usize).sum::<usize>();
        assert_eq!(num_tokens, codes.len(), "one code for each token");
        assert_eq!(num_tokens * params.row_bytes(), packed.residuals.len(), "one residual row for each token");
        let has_weights = packed.weights.len() == num_tokens;
        assert!(has_weights || params.weight_bits == 0 && packed.weights.is_empty(), "one weight index for each token");
        assert!(
            packed.weights.iter().all(|&weight| u32::from(weight) >> params.weight_bits == 0),
            "weight indices in range"
        );
        let num_centroids = params.num_centroids();
        if let Some(embedding) = codes.iter().position(|&code| code as usize >= num_centroids) {
            let code = codes[embedding];
            return Err(selvedge_backend::Error::CodeOutOfRange { embedding, code, num_centroids }.into());
        }
        let found = u64::from(self.num_passages) + doclens.len() as u64;
        let limit = u64::from(u32::MAX);
        if found > limit {
            return Err(Error::TooMany { what: "passages", found, limit });
        }
        Ok(())
    }

    /// Writes passages; a new segment starts before a passage that would exceed the limit.
    fn write_passages(&mut self, mut doclens: &[u32], mut codes: &[u32], packed: &Packed) -> Result<()> {
        let codec = self.codec.as_ref().expect("checked before").0.params.clone();
        let row_bytes = codec.row_bytes();
        let (mut residuals, mut weights) = (&packed.residuals[..], &packed.weights[..]);
        while !doclens.is_empty() {
            let (passages, tokens) = self.fitting(doclens);
            if passages == 0 {
                self.close_segment()?;
                continue;
            }
            let segment = match &mut self.segment {
                Some(segment) => segment,
                open @ None => {
                    let number = self.segments.len() as u32;
                    open.insert(SegmentWriter::create(self.staging.hidden(), number, self.num_passages, codec.clone())?)
                }
            };
            let num_weights = tokens.min(weights.len());
            segment.push(
                take(&mut doclens, passages),
                take(&mut codes, tokens),
                take(&mut residuals, tokens * row_bytes),
                take(&mut weights, num_weights),
            )?;
            self.num_passages += passages as u32;
            self.num_tokens += tokens as u64;
        }
        Ok(())
    }

    /// Number of passages that fit into the open segment, and number of their tokens. At least one passage fits
    /// into a new segment.
    fn fitting(&self, doclens: &[u32]) -> (usize, usize) {
        let mut total = self.segment.as_ref().map_or(0, |segment| u64::from(segment.num_tokens()));
        let before = total;
        let mut passages = 0;
        for &doclen in doclens {
            let fits = total + u64::from(doclen) <= u64::from(self.limits.segment_tokens);
            let is_first = passages == 0 && self.segment.is_none();
            if !fits && !is_first {
                break;
            }
            total += u64::from(doclen);
            passages += 1;
        }
        (passages, (total - before) as usize)
    }

    fn close_segment(&mut self) -> Result<()> {
        if let Some(segment) = self.segment.take() {
            self.segments.push(segment.finish()?);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("target", &self.staging.target().root())
            .field("num_passages", &self.num_passages)
            .finish()
    }
}

/// Takes `count` elements off the front.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}
