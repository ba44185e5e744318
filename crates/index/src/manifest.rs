//! The manifest: table of contents of an index, in JSON, written last.

use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::storage::Storage;
use selvedge_backend::CodecSizes;
use selvedge_codec::CodecKind;
use serde::{Deserialize, Serialize};

/// Model that made the embeddings, and its input lengths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInfo {
    /// Name or path of the model, as given by the user.
    pub model: String,
    /// Checksum of the model's files, which detects another model of the same name; empty in an index that was imported
    /// from another program, whose files name a model without a checksum.
    pub fingerprint: String,
    /// Family of the checkpoint.
    pub family: String,
    /// Components per embedding, `D`.
    pub dim: usize,
    /// Maximum number of tokens per query; 0 if unknown, which stands for the model's own.
    pub query_maxlen: usize,
    /// Maximum number of tokens per passage; 0 if unknown, which stands for the model's own.
    pub passage_maxlen: usize,
}

impl EncoderInfo {
    /// Maximum number of tokens per query and per passage, if they are known.
    pub fn lengths(&self) -> (Option<usize>, Option<usize>) {
        let known = |length: usize| (length > 0).then_some(length);
        (known(self.query_maxlen), known(self.passage_maxlen))
    }

    /// Whether the model's files are known by their checksum.
    pub fn is_known(&self) -> bool {
        !self.fingerprint.is_empty()
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodecEntry {
    /// Number in the file's name.
    pub number: u32,
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
    /// Mean share of an embedding that its residual has, among the passages that the codec was trained on; `None` if
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<f32>,
    /// Length and checksum of the codec file.
    pub file: FileEntry,
}

impl CodecEntry {
    /// Sizes of the codec, from which the sizes of the segments' files follow.
    pub fn sizes(&self) -> CodecSizes {
        let &Self { dim, num_centroids, nbits, weight_bits, .. } = self;
        CodecSizes { dim, num_centroids, nbits, weight_bits }
    }
}

/// One segment: the files with everything of a run of passages. They never change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Number in the files' names.
    pub number: u32,
    /// Number of passages, deleted ones included.
    pub count: u32,
    /// Number of tokens; deleted passages have theirs.
    pub num_tokens: u32,
    /// Mean share of an embedding that its residual has; `None` if unknown. See [`Manifest::drift`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<f32>,
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
    /// File of ids, texts and metadata.
    #[serde(rename = "texts")]
    pub documents: FileEntry,
    /// File of the hashes of the ids.
    pub ids: FileEntry,
    /// File of the columns of metadata; `None` in a segment that was made before they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<FileEntry>,
    /// File of the words of the texts; `None` in an index without words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<FileEntry>,
    /// File of the deleted passages; `None` if none is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<DeletedEntry>,
}

/// Record of what the passages were read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesEntry {
    /// Number in the file's name.
    pub number: u32,
    /// Length and checksum of the file.
    pub file: FileEntry,
}

/// Deleted passages of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedEntry {
    /// Number in the file's name.
    pub number: u32,
    /// Number of deleted passages.
    pub count: u32,
    /// Number of their tokens.
    pub num_tokens: u32,
    /// Length and checksum of the file.
    pub file: FileEntry,
}

impl SegmentEntry {
    /// Number of passages that are not deleted.
    pub fn num_alive(&self) -> u32 {
        self.count - self.deleted.map_or(0, |deleted| deleted.count)
    }

    /// Number of tokens of passages that are not deleted.
    pub fn num_alive_tokens(&self) -> u32 {
        self.num_tokens - self.deleted.map_or(0, |deleted| deleted.num_tokens)
    }

    /// Files of the segment: offsets, codes, residuals, weights, lists, documents, ids, and, where they exist, columns,
    /// words and deleted passages.
    pub fn files(&self) -> impl Iterator<Item = (IndexFile, FileEntry)> + use<> {
        let file = |kind| IndexFile::new(kind, self.number);
        let of_segment = [
            (file(FileKind::Offsets), self.offsets),
            (file(FileKind::Codes), self.codes),
            (file(FileKind::Residuals), self.residuals),
            (file(FileKind::Weights), self.weights),
            (file(FileKind::InvertedLists), self.lists),
            (file(FileKind::Documents), self.documents),
            (file(FileKind::Ids), self.ids),
        ];
        let deleted = self.deleted.map(|deleted| (IndexFile::new(FileKind::Deleted, deleted.number), deleted.file));
        let columns = self.columns.map(|columns| (file(FileKind::Columns), columns));
        let words = self.words.map(|words| (file(FileKind::Words), words));
        of_segment.into_iter().chain(columns).chain(words).chain(deleted)
    }
}

/// Largest number of a generation, and of the next file, in a manifest: a writer has as many numbers left.
pub(crate) const LAST_NUMBER: u32 = u32::MAX / 2;

/// Table of contents of one generation of an index: sizes, files, model, build and search parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the generation: 1 for a new index, one more after each change.
    pub generation: u32,
    /// Number that the next new file gets: above the numbers of all files of this generation and of earlier ones.
    pub next_number: u32,
    /// Number of passages that were ever added. A passage without an id gets this number as its id.
    pub num_added: u64,
    /// Codec of all segments.
    pub codec: CodecEntry,
    /// Model that made the embeddings; `None` for ready-made embeddings.
    pub encoder: Option<EncoderInfo>,
    /// Record of how the index was built.
    pub build: BuildInfo,
    /// Search parameters tuned for this index: an array of `Tuned` of the crate `selvedge-search`; `None`
    /// before tuning.
    pub search: Option<serde_json::Value>,
    /// Language of the words of the texts, as their maker names it; `None` in an index without words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Record of what the passages were read from; `None` if the caller stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<SourcesEntry>,
    /// Segments in pid order.
    pub segments: Vec<SegmentEntry>,
}

impl Manifest {
    /// Number of passages that are not deleted.
    pub fn num_passages(&self) -> u32 {
        self.segments.iter().map(SegmentEntry::num_alive).sum()
    }

    /// Number of tokens of passages that are not deleted.
    pub fn num_tokens(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.num_alive_tokens())).sum()
    }

    /// Number of pids; deleted passages have theirs.
    pub fn num_pids(&self) -> u32 {
        self.segments.iter().map(|segment| segment.count).sum()
    }

    /// How badly a segment's embeddings fit the codec: the ratio of their residuals to the residuals of the passages
    /// that the codec was trained on. About 1 for text of the same kind; `None` if unknown.
    pub fn drift(&self, segment: &SegmentEntry) -> Option<f32> {
        Some(segment.residual? / self.codec.residual.filter(|&residual| residual > 0.0)?)
    }

    /// All files that the manifest names: the codec, then each segment's, then the sources if there are any.
    pub fn files(&self) -> Vec<(IndexFile, FileEntry)> {
        let codec = (IndexFile::new(FileKind::Codec, self.codec.number), self.codec.file);
        let sources = self.sources.map(|sources| (IndexFile::new(FileKind::Sources, sources.number), sources.file));
        std::iter::once(codec).chain(self.segments.iter().flat_map(SegmentEntry::files)).chain(sources).collect()
    }

    /// The file that this manifest is written to.
    pub fn file(&self) -> IndexFile {
        IndexFile::manifest(self.generation)
    }

    /// Writes the manifest into `storage`; one that no reader would accept is an error.
    pub(crate) fn write(&self, storage: &dyn Storage) -> Result<()> {
        let mut out = FramedFileWriter::create(storage, self.file())?;
        let path = storage.path(&self.file().name());
        self.validate().map_err(|reason| Error::Manifest { path: path.clone(), reason })?;
        let json = serde_json::to_vec_pretty(self).map_err(|error| io_at(&path)(error.into()))?;
        out.write(&json)?;
        out.finish().map(|_| ())
    }

    /// Reads and checks the manifest of a generation; also returns the length and the checksum of its file.
    pub(crate) fn read(storage: &dyn Storage, generation: u32) -> Result<(Self, FileEntry)> {
        let file = FramedFile::open(storage, IndexFile::manifest(generation))?;
        file.check()?;
        let bad = |reason: String| Error::Manifest { path: file.path.clone(), reason };
        let manifest: Self = serde_json::from_slice(&file.payload).map_err(|error| bad(error.to_string()))?;
        if manifest.generation != generation {
            return Err(bad(format!("is of generation {}", manifest.generation)));
        }
        manifest.validate().map_err(bad)?;
        Ok((manifest, file.entry))
    }

    /// Checks that there are not more passages than pids, that no segment has more deleted passages than passages, that
    /// no file is named twice, and that a writer has numbers left.
    fn validate(&self) -> Result<(), String> {
        if self.generation.max(self.next_number) > LAST_NUMBER || self.num_added > u64::MAX / 2 {
            return Err("the numbers of generations, files or passages have come to their end".to_owned());
        }
        let mut num_pids = 0u32;
        for SegmentEntry { number, count, num_tokens, deleted, .. } in &self.segments {
            num_pids = num_pids.checked_add(*count).ok_or("the segments have more passages than there are pids")?;
            if let Some(deleted) = deleted
                && (deleted.count > *count || deleted.num_tokens > *num_tokens)
            {
                return Err(format!("of segment {number} more is deleted than it has"));
            }
        }
        let mut files: Vec<_> = self.files().into_iter().map(|(file, _)| file).collect();
        files.sort_unstable();
        if let Some(file) = files.iter().find(|file| file.number >= self.next_number) {
            return Err(format!("{file} has a number above the last, {}", self.next_number));
        }
        match files.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} is named twice", pair[0])),
            None => Ok(()),
        }
    }
}
