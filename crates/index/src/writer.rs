//! Makes an index, out of sight until it is complete.
//!
//! All files are written into a hidden directory of the target, each is flushed to the disk, and they are moved into
//! place with the manifest as the last (`staging.rs` tells how). A writer that is dropped before [`Writer::finish`]
//! leaves the target as it found it; what a process that dies leaves is removed by the next writer to the same place.

use crate::codec_file;
use crate::documents::{Document, Documents, DocumentsStage};
use crate::error::{Error, Result};
use crate::manifest::{CodecEntry, Manifest, ManifestInfo, SegmentEntry};
use crate::segment::SegmentWriter;
use crate::spool::Spool;
use crate::staging::Staging;
use selvedge_backend::Packed;
use selvedge_codec::Codec;
use std::path::Path;

/// When the writer starts a new segment or a new documents file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of a segment; making its lists takes about 6 bytes of memory a token. A passage with
    /// more tokens gets a segment of its own.
    pub segment_tokens: u32,
    /// Bytes of a documents file.
    pub documents_bytes: u64,
}

impl Default for Limits {
    /// 128 Mi tokens, hence 0.8 GB of memory, and 4 GiB of documents.
    fn default() -> Self {
        Self { segment_tokens: 1 << 27, documents_bytes: 4 << 30 }
    }
}

/// Makes an index: documents, then the codec, then passages, each in pid order, then [`Writer::finish`].
///
/// Documents may be left out altogether: ids are then the decimal pids. A call that fails half-way
/// (a full disk) makes every later [`Writer::finish`] fail; one that refuses its input leaves the
/// writer as it was.
pub struct Writer {
    staging: Staging,
    limits: Limits,
    documents: DocumentsStage,
    codec: Option<(Codec, CodecEntry)>,
    segment: Option<SegmentWriter>,
    segments: Vec<SegmentEntry>,
    num_passages: u32,
    num_tokens: u64,
    /// Whether a step failed after it had begun to write.
    is_broken: bool,
}

impl Writer {
    /// Prepares an index at `path`, where nothing or an empty directory may be; such a directory stays the same one.
    ///
    /// # Errors
    /// [`Error::Exists`] where something is there already, [`Error::Locked`] where another writer works there.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            staging: Staging::create(path)?,
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

    /// Replaces the limits for what comes.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Bytes of memory that grow with the documents: some 17 to 40 for each id until [`Writer::finish_documents`], and
    /// 24 for each block of the documents file that is open.
    pub fn bytes_held(&self) -> usize {
        self.documents.bytes_held()
    }

    /// Appends the document of the next passage.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::DuplicateId`], [`Error::Metadata`] and [`Error::DocumentTooLarge`] refuse the
    /// document and leave the writer as it was.
    ///
    /// # Panics
    /// After [`Writer::finish_documents`].
    pub fn push_document(&mut self, document: &Document) -> Result<()> {
        let records = self.documents.admit(document)?;
        let result = self.documents.push(self.staging.path(), self.limits.documents_bytes, &document.id, &records);
        self.note(result)
    }

    /// Closes the documents; gives back a reader over them, to encode their texts.
    pub fn finish_documents(&mut self) -> Result<Documents> {
        let result = self.documents.close();
        self.note(result)?;
        self.documents.open(self.staging.path())
    }

    /// Writes the codec.
    ///
    /// # Panics
    /// When called a second time.
    pub fn set_codec(&mut self, codec: &Codec) -> Result<()> {
        assert!(self.codec.is_none(), "an index has one codec");
        let result = codec_file::write(self.staging.path(), codec);
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

    /// Appends passages. `doclens (P) u32`, `codes (N) u32`, `packed` as [`selvedge_backend::Backend::compress`]
    /// makes it; weight indices may be left out of a codec that has none.
    ///
    /// # Panics
    /// Before [`Writer::set_codec`], or if the lengths do not fit each other.
    pub fn push_passages(&mut self, doclens: &[u32], codes: &[u32], packed: &Packed) -> Result<()> {
        self.check_passages(doclens, codes, packed)?;
        let result = self.write_passages(doclens, codes, packed);
        self.note(result)
    }

    /// A file for embeddings that must be read once more before the index is finished.
    pub fn spool(&self) -> Result<Spool> {
        Spool::create(self.staging.path())
    }

    /// Writes what is open, then the manifest, and moves the index into place.
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
        manifest.write(self.staging.path())?;
        self.staging.finish(&manifest)?;
        Ok(manifest)
    }

    /// Remembers whether a step that writes has failed.
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.is_broken |= result.is_err();
        result
    }

    /// Checks everything about passages that can be checked before a byte is written.
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

    /// Writes passages, starting a new segment before each one that would pass the limit.
    fn write_passages(&mut self, mut doclens: &[u32], mut codes: &[u32], packed: &Packed) -> Result<()> {
        let codec = self.codec.as_ref().expect("checked before").0.params.clone();
        let row_bytes = codec.row_bytes();
        let (mut residuals, mut weights) = (&packed.residuals[..], &packed.weights[..]);
        while !doclens.is_empty() {
            let (passages, tokens) = self.how_many_fit(doclens);
            if passages == 0 {
                self.close_segment()?;
                continue;
            }
            let segment = match &mut self.segment {
                Some(segment) => segment,
                open @ None => {
                    let number = self.segments.len() as u32;
                    open.insert(SegmentWriter::create(self.staging.path(), number, self.num_passages, codec.clone())?)
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

    /// How many passages go into the open segment, and their tokens: at least one into an empty one.
    fn how_many_fit(&self, doclens: &[u32]) -> (usize, usize) {
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
            .field("target", &self.staging.target())
            .field("num_passages", &self.num_passages)
            .finish()
    }
}

/// Cuts `count` elements off the front.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}
