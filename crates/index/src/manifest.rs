//! The manifest: table of contents of an index, in JSON, written last.

use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::storage::Storage;
use selvedge_codec::CodecKind;
use serde::{Deserialize, Serialize};

/// Model that made the embeddings, and its input lengths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInfo {
    /// Name or path of the model, as given by the user.
    pub model: String,
    /// Checksum of the model's files, which detects another model of the same name.
    pub fingerprint: String,
    /// Family of the checkpoint.
    pub family: String,
    /// Components per embedding, `D`.
    pub dim: usize,
    /// Maximum number of tokens per query.
    pub query_maxlen: usize,
    /// Maximum number of tokens per passage.
    pub passage_maxlen: usize,
}

/// Record of how the index was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildInfo {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Version of the program.
    pub version: String,
    /// Number of passages that the codec was trained on.
    pub sample_passages: u64,
    /// Number of tokens that the codec was trained on.
    pub sample_tokens: u64,
    /// Number of rounds of k-means.
    pub kmeans_rounds: u32,
    /// Backend that computed the index.
    pub backend: String,
    /// Pooling factor: about this many tokens of a passage were merged into one; `None` if tokens were not merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<usize>,
}

/// Parts of the manifest that the caller of [`Writer::finish`](crate::Writer::finish) provides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestInfo {
    /// Model that made the embeddings; `None` for ready-made embeddings.
    pub encoder: Option<EncoderInfo>,
    /// Record of how the index was built.
    pub build: BuildInfo,
    /// Search parameters tuned for this index, in the format of [`Manifest::search`].
    pub search: Option<serde_json::Value>,
}

/// Sizes of the codec, and its file. Opening checks them against the codec file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecEntry {
    /// Kind of codec.
    pub kind: CodecKind,
    /// Components per embedding, `D`.
    pub dim: usize,
    /// Number of centroids, `K`.
    pub num_centroids: usize,
    /// Bits per residual component.
    pub nbits: u8,
    /// Bits per weight index.
    #[serde(rename = "scale_bits")]
    pub weight_bits: u8,
    /// Length and checksum of the codec file.
    pub file: FileEntry,
}

/// One documents file: ids, texts and metadata of a run of passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsEntry {
    /// Number in the file's name.
    pub number: u32,
    /// First passage of the run.
    pub first_pid: u32,
    /// Number of passages.
    pub count: u32,
    /// Length and checksum of the file.
    pub file: FileEntry,
}

/// One segment: five files with the compressed tokens of a run of passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Number in the files' names.
    pub number: u32,
    /// First passage of the run.
    pub first_pid: u32,
    /// Number of passages.
    pub count: u32,
    /// Number of tokens.
    pub num_tokens: u32,
    /// File of the first token of each passage.
    pub offsets: FileEntry,
    /// File of the packed codes.
    pub codes: FileEntry,
    /// File of the packed residuals.
    pub residuals: FileEntry,
    /// File of the packed weight indices.
    #[serde(rename = "scales")]
    pub weights: FileEntry,
    /// File of the inverted lists.
    pub lists: FileEntry,
}

impl SegmentEntry {
    /// Files of the segment: offsets, codes, residuals, weights, lists.
    pub fn files(&self) -> [(IndexFile, FileEntry); 5] {
        let file = |kind| IndexFile::new(kind, self.number);
        [
            (file(FileKind::Offsets), self.offsets),
            (file(FileKind::Codes), self.codes),
            (file(FileKind::Residuals), self.residuals),
            (file(FileKind::Weights), self.weights),
            (file(FileKind::InvertedLists), self.lists),
        ]
    }
}

/// Table of contents of an index: sizes, files, model, build and search parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of passages of the index.
    pub num_passages: u32,
    /// Number of tokens of the index.
    pub num_tokens: u64,
    /// Codec of all segments.
    pub codec: CodecEntry,
    /// Model that made the embeddings; `None` for ready-made embeddings.
    pub encoder: Option<EncoderInfo>,
    /// Record of how the index was built.
    pub build: BuildInfo,
    /// Search parameters tuned for this index: an array of `Tuned` of the crate `selvedge-search`; `None`
    /// before tuning.
    pub search: Option<serde_json::Value>,
    /// Documents files in pid order; empty where ids are the decimal pids and there is no text.
    pub documents: Vec<DocumentsEntry>,
    /// Segments in pid order.
    pub segments: Vec<SegmentEntry>,
}

impl Manifest {
    /// All files that the manifest names: codec, documents, segments.
    pub fn files(&self) -> Vec<(IndexFile, FileEntry)> {
        let documents = self.documents.iter().map(|d| (IndexFile::new(FileKind::Documents, d.number), d.file));
        let segments = self.segments.iter().flat_map(SegmentEntry::files);
        std::iter::once((IndexFile::CODEC, self.codec.file)).chain(documents).chain(segments).collect()
    }

    /// Writes the manifest into `storage`.
    pub(crate) fn write(&self, storage: &dyn Storage) -> Result<()> {
        let mut out = FramedFileWriter::create(storage, IndexFile::MANIFEST)?;
        let path = storage.path(&IndexFile::MANIFEST.name());
        let json = serde_json::to_vec_pretty(self).map_err(|error| io_at(&path)(error.into()))?;
        out.write(&json)?;
        out.finish().map(|_| ())
    }

    /// Reads and checks the manifest of `storage`; also returns the size of its file.
    pub(crate) fn read(storage: &dyn Storage) -> Result<(Self, u64)> {
        let file = FramedFile::open(storage, IndexFile::MANIFEST).map_err(|error| {
            let is_absent = match &error {
                Error::MissingFile { .. } => true,
                Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotADirectory,
                _ => false,
            };
            // A damaged index has a codec at least.
            if is_absent && storage.map(&IndexFile::CODEC.name()).is_err() {
                return Error::NoIndex { path: storage.root() };
            }
            error
        })?;
        file.check()?;
        let bad = |reason: String| Error::Manifest { path: file.path.clone(), reason };
        let manifest: Self = serde_json::from_slice(&file.payload).map_err(|error| bad(error.to_string()))?;
        manifest.validate().map_err(bad)?;
        Ok((manifest, file.entry.bytes))
    }

    /// Checks that segments and documents each cover all passages in order, that the sums are right and that no file is
    /// named twice.
    fn validate(&self) -> Result<(), String> {
        let mut end = 0u32;
        for segment in &self.segments {
            end = follow("segment", segment.number, segment.first_pid, segment.count, end)?;
        }
        if end != self.num_passages {
            return Err(format!("the segments have {end} passages, the index has {}", self.num_passages));
        }
        let num_tokens: u64 = self.segments.iter().map(|s| u64::from(s.num_tokens)).sum();
        if num_tokens != self.num_tokens {
            return Err(format!("the segments have {num_tokens} tokens, the index has {}", self.num_tokens));
        }
        end = 0;
        for documents in &self.documents {
            end = follow("documents file", documents.number, documents.first_pid, documents.count, end)?;
        }
        if !self.documents.is_empty() && end != self.num_passages {
            return Err(format!("there are {end} documents, but {} passages", self.num_passages));
        }
        let mut files: Vec<_> = self.files().into_iter().map(|(file, _)| file).collect();
        files.sort_unstable();
        match files.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} is named twice", pair[0])),
            None => Ok(()),
        }
    }
}

/// Returns the end of a run of passages, which must start at `end`, the end of the run before it.
fn follow(what: &str, number: u32, first_pid: u32, count: u32, end: u32) -> Result<u32, String> {
    if first_pid != end {
        return Err(format!("{what} {number} starts at passage {first_pid}, not at {end}"));
    }
    first_pid.checked_add(count).ok_or_else(|| format!("{what} {number} ends after the largest possible pid"))
}
