//! What an index is made of: the JSON payload of the one file that is written last.

use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use selvedge_codec::CodecKind;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Which model made the embeddings, and how texts go into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInfo {
    /// Name or path of the model, as the user gave it.
    pub model: String,
    /// Checksum of the model's files, to notice another model of the same name.
    pub fingerprint: String,
    /// Family of the checkpoint.
    pub family: String,
    /// Components of an embedding.
    pub dim: usize,
    /// Tokens of a query, at most.
    pub query_maxlen: usize,
    /// Tokens of a passage, at most.
    pub passage_maxlen: usize,
}

/// How the index was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildInfo {
    /// Seed of everything random.
    pub seed: u64,
    /// Version of the program.
    pub version: String,
    /// Passages that the codec was trained on.
    pub sample_passages: u64,
    /// Tokens that the codec was trained on.
    pub sample_tokens: u64,
    /// Rounds of k-means.
    pub kmeans_rounds: u32,
    /// What computed.
    pub backend: String,
    /// Tokens of a passage that became one, about; none where all were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<usize>,
}

/// What [`Writer::finish`](crate::Writer::finish) cannot know by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestInfo {
    /// The model, where there is one: an index of ready-made embeddings has none.
    pub encoder: Option<EncoderInfo>,
    /// How the index was built.
    pub build: BuildInfo,
    /// Search parameters tuned for this index; `search` knows what they mean.
    pub search: Option<serde_json::Value>,
}

/// A codec's sizes, for readers of the manifest; the codec file decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecEntry {
    /// Which codec.
    pub kind: CodecKind,
    /// Components of a vector.
    pub dim: usize,
    /// Number of centroids.
    pub num_centroids: usize,
    /// Bits of a residual component.
    pub nbits: u8,
    /// Bits of a weight index.
    #[serde(rename = "scale_bits")]
    pub weight_bits: u8,
    /// The file.
    pub file: FileEntry,
}

/// Ids, texts and metadata of a run of passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsEntry {
    /// Number in the file's name.
    pub number: u32,
    /// First passage.
    pub first_pid: u32,
    /// Passages.
    pub count: u32,
    /// The file.
    pub file: FileEntry,
}

/// The compressed tokens of a run of passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Number in the files' names.
    pub number: u32,
    /// First passage.
    pub first_pid: u32,
    /// Passages.
    pub count: u32,
    /// Tokens.
    pub num_tokens: u32,
    /// First token of each passage.
    pub offsets: FileEntry,
    /// Codes.
    pub codes: FileEntry,
    /// Packed residuals.
    pub residuals: FileEntry,
    /// Packed weight indices.
    #[serde(rename = "scales")]
    pub weights: FileEntry,
    /// Inverted lists.
    pub lists: FileEntry,
}

impl SegmentEntry {
    /// The segment's files.
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

/// What an index is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Passages of the index.
    pub num_passages: u32,
    /// Tokens of the index.
    pub num_tokens: u64,
    /// The codec.
    pub codec: CodecEntry,
    /// The model that made the embeddings, where there is one.
    pub encoder: Option<EncoderInfo>,
    /// How the index was built.
    pub build: BuildInfo,
    /// Search parameters tuned for this index.
    pub search: Option<serde_json::Value>,
    /// Documents files in pid order; none where ids are the decimal pids and there is no text.
    pub documents: Vec<DocumentsEntry>,
    /// Segments in pid order.
    pub segments: Vec<SegmentEntry>,
}

impl Manifest {
    /// Every file that the manifest names.
    pub fn files(&self) -> Vec<(IndexFile, FileEntry)> {
        let documents = self.documents.iter().map(|d| (IndexFile::new(FileKind::Documents, d.number), d.file));
        let segments = self.segments.iter().flat_map(SegmentEntry::files);
        std::iter::once((IndexFile::CODEC, self.codec.file)).chain(documents).chain(segments).collect()
    }

    /// Writes the manifest, as the last file of `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let mut out = FramedFileWriter::create(directory, IndexFile::MANIFEST)?;
        let path = directory.join(IndexFile::MANIFEST.name());
        let json = serde_json::to_vec_pretty(self).map_err(|error| io_at(&path)(error.into()))?;
        out.write(&json)?;
        out.finish().map(|_| ())
    }

    /// Reads the manifest of `directory`, with its checksum; also gives its size.
    pub(crate) fn read(directory: &Path) -> Result<(Self, u64)> {
        let frame = FramedFile::open(directory, IndexFile::MANIFEST)?;
        frame.check()?;
        let bad = |reason: String| Error::Manifest { path: frame.path.clone(), reason };
        let manifest: Self = serde_json::from_slice(&frame.payload).map_err(|error| bad(error.to_string()))?;
        manifest.validate().map_err(bad)?;
        Ok((manifest, frame.entry.bytes))
    }

    /// Checks that segments and documents each cover all passages, in order, and that the sums are right.
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
            end = follow("documents", documents.number, documents.first_pid, documents.count, end)?;
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

/// The end of a run of passages that starts at `end`.
fn follow(what: &str, number: u32, first_pid: u32, count: u32, end: u32) -> Result<u32, String> {
    if first_pid != end {
        return Err(format!("{what} {number} starts at passage {first_pid}, not at {end}"));
    }
    first_pid.checked_add(count).ok_or_else(|| format!("{what} {number} ends beyond the last possible passage"))
}
