//! Opening an index: every file is mapped, only the codec is copied.

use crate::codec_file;
use crate::documents::{Document, Documents};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::{EncoderInfo, Manifest};
use crate::saturation::saturated_centroids;
use crate::segment::{Segment, check_contents};
use crate::storage::{Directory, Storage};
use rayon::prelude::*;
use selvedge_codec::Codec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Extent of the checks that opening an index makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every header and length, all of the manifest and the codec, the head of each inverted list. The time grows with
    /// the number of files and centroids, not of passages. Corrupt bytes elsewhere are not detected.
    Structure,
    /// All of `Structure`, every byte of every file against its checksum, every offset and code against its bounds.
    Checksums,
}

/// An open index. Its files are mapped and never change.
#[derive(Clone, Debug)]
pub struct Index {
    path: PathBuf,
    manifest: Manifest,
    manifest_bytes: u64,
    codec: Codec,
    documents: Documents,
    segments: Vec<Segment>,
}

impl Index {
    /// Opens the index at `path`.
    ///
    /// # Errors
    /// [`Error::NoIndex`], or the first defect found, with its file: [`Error::MissingFile`], [`Error::Io`], an error of
    /// the header (the variants from [`Error::BadMagic`] to [`Error::HeaderChecksum`]), [`Error::Checksum`],
    /// [`Error::Replaced`], [`Error::Manifest`], [`Error::CodecFile`], [`Error::Contents`], [`Error::InvertedLists`],
    /// [`Error::Documents`]; [`Error::Saturated`] if all centroids saturate.
    pub fn open(path: &Path, check: Check) -> Result<Self> {
        Self::open_in(&Directory::new(path), check)
    }

    /// Opens the index in `storage`.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_in(storage: &dyn Storage, check: Check) -> Result<Self> {
        let (manifest, manifest_bytes) = Manifest::read(storage)?;
        let codec = open_codec(storage, &manifest)?;
        let (documents, mut files) = Documents::open(storage, &manifest.documents)?;
        let mut segments = Vec::with_capacity(manifest.segments.len());
        let mut segment_files = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let (segment, files_of_segment) = Segment::open(storage, entry, &codec.params)?;
            files.extend_from_slice(&files_of_segment);
            segment_files.push(files_of_segment);
            segments.push(segment);
        }
        if check == Check::Checksums {
            files.par_iter().try_for_each(FramedFile::check)?;
            let contents = segments.par_iter().zip(&segment_files);
            contents.try_for_each(|(segment, files)| check_contents(&segment.passages, files, &codec.params))?;
        }
        let (passages, num_segments) = (manifest.num_passages, segments.len());
        let path = storage.root();
        tracing::debug!(path = %path.display(), passages, segments = num_segments, "index opened");
        Ok(Self { path, manifest, manifest_bytes, codec, documents, segments })
    }

    /// Directory of the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Manifest of the index: sizes, files, model, build and search parameters.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Codec that all segments share.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Components per embedding, `D`.
    pub fn dim(&self) -> usize {
        self.codec.params.dim
    }

    /// Number of centroids whose similarities saturate for queries in their own direction, so that their passages
    /// may be misranked; 0 for every codec trained by this version. [`Index::open`] logs a warning if some
    /// centroids saturate, and fails if all do. Each call reads all centroids, `O(K D)`.
    pub fn saturated_centroids(&self) -> usize {
        saturated_centroids(&self.codec.params)
    }

    /// Model that made the embeddings; `None` for an index of ready-made embeddings.
    pub fn encoder(&self) -> Option<&EncoderInfo> {
        self.manifest.encoder.as_ref()
    }

    /// Segments, in pid order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Number of passages.
    pub fn num_passages(&self) -> u32 {
        self.manifest.num_passages
    }

    /// Number of tokens.
    pub fn num_tokens(&self) -> u64 {
        self.manifest.num_tokens
    }

    /// Whether ids, texts and metadata are stored. Without them the id of a passage is its decimal pid.
    pub fn has_documents(&self) -> bool {
        !self.documents.is_empty()
    }

    /// Stored documents; empty where [`Index::has_documents`] is false.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Document of passage `pid`; its text is empty where the index stores no documents.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] where `pid` is out of range, [`Error::Documents`] where its blocks are corrupt.
    pub fn document(&self, pid: u32) -> Result<Document> {
        if self.has_documents() {
            return self.documents.get(pid);
        }
        Ok(Document { id: self.id(pid)?, text: String::new(), metadata: None })
    }

    /// Id of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] where `pid` is out of range, [`Error::Documents`] where its block is corrupt.
    pub fn id(&self, pid: u32) -> Result<String> {
        if self.has_documents() {
            return self.documents.id(pid);
        }
        if pid >= self.num_passages() {
            return Err(Error::NoSuchPassage { pid, num_passages: self.num_passages() });
        }
        Ok(pid.to_string())
    }

    /// Ids of all passages, in pid order. Each block of ids is unpacked once; [`Index::id`] unpacks one per call. An
    /// item is [`Error::Documents`] where its block is corrupt.
    pub fn ids(&self) -> impl Iterator<Item = Result<String>> + Send + use<> {
        let mut documents = self.has_documents().then(|| self.documents.reader());
        (0..self.num_passages()).map(move |pid| match &mut documents {
            Some(documents) => documents.id(pid),
            None => Ok(pid.to_string()),
        })
    }

    /// Pid of the passage that has this id, if there is one. [`Documents::pid`] states the cost of the first call.
    ///
    /// # Errors
    /// [`Error::Documents`] where a block of ids is corrupt.
    pub fn pid(&self, id: &str) -> Result<Option<u32>> {
        if self.has_documents() {
            return self.documents.pid(id);
        }
        // Decimal as `id` writes it: no sign, no leading zeros.
        Ok(id.parse().ok().filter(|&pid: &u32| pid < self.num_passages() && pid.to_string() == id))
    }

    /// Bytes on disk per embedding of all files that search reads: all but the documents.
    pub fn bytes_per_vector(&self) -> f64 {
        let bytes = self.bytes_on_disk().into_iter().filter(|&(kind, _)| kind != FileKind::Documents);
        bytes.map(|(_, bytes)| bytes).sum::<u64>() as f64 / self.num_tokens().max(1) as f64
    }

    /// Bytes on disk by kind of file, headers included.
    pub fn bytes_on_disk(&self) -> BTreeMap<FileKind, u64> {
        let mut bytes = BTreeMap::from([(FileKind::Manifest, self.manifest_bytes)]);
        for (file, entry) in self.manifest.files() {
            *bytes.entry(file.kind).or_default() += entry.bytes;
        }
        bytes
    }
}

/// Reads the codec, checks its checksum and compares it with the manifest. Refuses a codec whose centroids
/// all saturate.
pub(crate) fn open_codec(storage: &dyn Storage, manifest: &Manifest) -> Result<Codec> {
    let file = FramedFile::open_named(storage, IndexFile::CODEC, manifest.codec.file)?;
    file.check()?;
    let codec = codec_file::read(&file)?;
    let (params, entry) = (&codec.params, &manifest.codec);
    let is_named = codec.kind == entry.kind
        && params.dim == entry.dim
        && params.num_centroids() == entry.num_centroids
        && params.nbits == entry.nbits
        && params.weight_bits == entry.weight_bits;
    if !is_named {
        let reason = "the codec file has another kind or other sizes than the manifest says".to_owned();
        return Err(Error::Manifest { path: storage.path(&IndexFile::MANIFEST.name()), reason });
    }
    let (saturated, num_centroids) = (saturated_centroids(params), params.num_centroids());
    if saturated == num_centroids {
        return Err(Error::Saturated { path: file.path, num_centroids });
    }
    if saturated > 0 {
        tracing::warn!(
            path = %storage.root().display(),
            "{saturated} of {num_centroids} centroids saturate, so that their passages may be misranked; \
             build the index anew"
        );
    }
    Ok(codec)
}
