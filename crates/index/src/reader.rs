//! Opens an index: every file mapped, nothing copied but the codec.

use crate::codec_file;
use crate::documents::{Document, Documents};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::{EncoderInfo, Manifest};
use crate::segment::{Segment, check_contents};
use rayon::prelude::*;
use selvedge_codec::Codec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How much of an index is read before it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every header and length, the manifest and the codec whole, where each list lies: takes
    /// time by files and centroids, not by passages. What a disk has spoilt elsewhere stays unseen.
    Structure,
    /// Every byte of every file against its checksum, and every offset and code against its bounds.
    Checksums,
}

/// An open index.
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
    /// Opens the index at `path`; the first file found broken is the error.
    pub fn open(path: &Path, check: Check) -> Result<Self> {
        let (manifest, manifest_bytes) = Manifest::read(path)?;
        let codec = open_codec(path, &manifest)?;
        let (documents, mut frames) = Documents::open(path, &manifest.documents)?;
        let mut segments = Vec::with_capacity(manifest.segments.len());
        let mut segment_frames = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let (segment, of_segment) = Segment::open(path, entry, &codec.params)?;
            frames.extend_from_slice(&of_segment);
            segment_frames.push(of_segment);
            segments.push(segment);
        }
        if check == Check::Checksums {
            frames.par_iter().try_for_each(FramedFile::check)?;
            let contents = segments.par_iter().zip(&segment_frames);
            contents.try_for_each(|(segment, frames)| check_contents(&segment.passages, frames, &codec.params))?;
        }
        tracing::debug!(path = %path.display(), passages = manifest.num_passages, segments = segments.len(), "index opened");
        Ok(Self { path: path.to_owned(), manifest, manifest_bytes, codec, documents, segments })
    }

    /// Where the index lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the index is made of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The codec of all segments.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Components of an embedding.
    pub fn dim(&self) -> usize {
        self.codec.params.dim
    }

    /// The model that made the embeddings; none where they were made elsewhere.
    pub fn encoder(&self) -> Option<&EncoderInfo> {
        self.manifest.encoder.as_ref()
    }

    /// The segments, in pid order.
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

    /// Whether ids, texts and metadata are stored; without them an id is the decimal pid.
    pub fn has_documents(&self) -> bool {
        !self.documents.is_empty()
    }

    /// The stored documents; none where [`Index::has_documents`] is false.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The document of passage `pid`.
    pub fn document(&self, pid: u32) -> Result<Document> {
        if self.has_documents() {
            return self.documents.get(pid);
        }
        Ok(Document { id: self.id(pid)?, text: String::new(), metadata: None })
    }

    /// The id of passage `pid`.
    pub fn id(&self, pid: u32) -> Result<String> {
        if self.has_documents() {
            return self.documents.id(pid);
        }
        if pid >= self.num_passages() {
            return Err(Error::NoSuchPassage { pid, num_passages: self.num_passages() });
        }
        Ok(pid.to_string())
    }

    /// The ids of all passages, in pid order; cheaper than [`Index::id`] for each.
    pub fn ids(&self) -> impl Iterator<Item = Result<String>> + Send + use<> {
        let mut documents = self.has_documents().then(|| self.documents.reader());
        (0..self.num_passages()).map(move |pid| match &mut documents {
            Some(documents) => documents.id(pid),
            None => Ok(pid.to_string()),
        })
    }

    /// The passage that has this id, if there is one. See [`Documents::pid`] for what the first call costs.
    ///
    /// # Errors
    /// Where ids cannot be read.
    pub fn pid(&self, id: &str) -> Result<Option<u32>> {
        if self.has_documents() {
            return self.documents.pid(id);
        }
        // Decimal, as `id` writes it: no sign, no zeros before it.
        Ok(id.parse().ok().filter(|&pid: &u32| pid < self.num_passages() && pid.to_string() == id))
    }

    /// Bytes on disk that search needs, for each vector: all but the documents.
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

/// Reads the codec, with its checksum, and holds it against what the manifest says of it.
pub(crate) fn open_codec(path: &Path, manifest: &Manifest) -> Result<Codec> {
    let frame = FramedFile::open_named(path, IndexFile::CODEC, manifest.codec.file)?;
    frame.check()?;
    let codec = codec_file::read(&frame)?;
    let (params, entry) = (&codec.params, &manifest.codec);
    let is_named = codec.kind == entry.kind
        && params.dim == entry.dim
        && params.num_centroids() == entry.num_centroids
        && params.nbits == entry.nbits
        && params.weight_bits == entry.weight_bits;
    if is_named {
        return Ok(codec);
    }
    let reason = "the codec has other sizes than the manifest says".to_owned();
    Err(Error::Manifest { path: path.join(IndexFile::MANIFEST.name()), reason })
}
