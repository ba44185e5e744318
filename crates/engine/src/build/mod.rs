//! Making an index: of a collection of text, of documents in memory, or of embeddings made elsewhere.
//!
//! ```text
//! collection --read--> documents, stored --encode--> embeddings --pipeline--> codes, residuals, lists --> manifest, last
//! ```

mod budget;
pub mod pipeline;
mod reservoir;

use crate::collection::{ReadOptions, ReadReport};
use crate::device::on_device;
use crate::progress::{Progress, Stage};
use crate::save::Saver;
use crate::source::{ArraySource, Pooled, Source, TextSource};
use crate::{Device, Error, Result, collection, lines};
use selvedge_backend::Backend;
use selvedge_codec::CodecKind;
use selvedge_encoder::{Encoder, LoadOptions, TextKind, shipped};
use selvedge_index::{BuildInfo, Check, Document, EncoderInfo, Index, ManifestInfo, Writer};
use std::path::{Path, PathBuf};

/// Options of a build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The encoder of [`Engine::build`](crate::Engine::build): a local folder, a hub id, or `shipped`.
    pub model: String,
    /// Options of loading it.
    pub encoder: LoadOptions,
    /// The device that trains the codec and compresses. The encoder stays on the CPU.
    pub device: Device,
    /// The codec.
    pub codec: CodecKind,
    /// Bits of a residual component: 0 (centroids only), 1, 2, 4 or 8.
    pub nbits: u8,
    /// Number of centroids; `2^floor(log2(16 sqrt(tokens)))` where not given (ColBERTv2).
    pub num_centroids: Option<usize>,
    /// Tokens of a passage that are pooled to one, hierarchically; 1 keeps them all.
    pub pool: usize,
    /// Bytes of memory that the build may use, the model's weights aside.
    pub memory_budget: u64,
    /// Seed of everything random: the same seed and input give the same index.
    pub seed: u64,
    /// Options of reading a folder.
    pub read: ReadOptions,
    /// A folder that the uncompressed embeddings are written to as well.
    pub save_embeddings: Option<PathBuf>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            model: shipped::NAME.into(),
            encoder: LoadOptions::default(),
            device: Device::Cpu,
            codec: CodecKind::Selvedge,
            nbits: 2,
            num_centroids: None,
            pool: 1,
            memory_budget: 4 << 30,
            seed: 42,
            read: ReadOptions::default(),
            save_embeddings: None,
        }
    }
}

/// Embeddings made elsewhere, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrays {
    /// Embeddings of all passages, one after the other: `(total_tokens, D)`, f16 or f32.
    pub embeddings: PathBuf,
    /// Tokens of each passage: `(passages)`, i32.
    pub doclens: PathBuf,
    /// Ids of the passages, one per line; without it they are numbers from 0.
    pub ids: Option<PathBuf>,
}

/// Sizes of an index that was built.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct BuildReport {
    /// Number of passages.
    pub passages: u32,
    /// Number of embeddings.
    pub tokens: u64,
    /// Number of centroids.
    pub centroids: usize,
    /// Bytes on disk per embedding, stored text aside.
    pub bytes_per_vector: f64,
    /// Number of passages that have more tokens than the encoder reads: the rest of their text cannot be found.
    pub truncated: usize,
    /// Tokens of a passage that the encoder reads; 0 for arrays.
    pub passage_maxlen: usize,
    /// Files and lines of the collection that were left out; none of documents and arrays.
    pub read: ReadReport,
}

/// Builds the index of the collection at `collection` (a folder, JSONL, TSV or `-`) at `path`.
///
/// # Errors
/// As [`Engine::build`](crate::Engine::build).
pub fn from_text(
    collection: &Path,
    path: &Path,
    encoder: &Encoder,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let mut writer = Writer::create(path)?;
    let mut stage = Stage::new(progress, "read", "passages", None);
    let read = collection::read(collection, Some(encoder), &options.read, |document| {
        stage.add(1)?;
        Ok(writer.push_document(&document)?)
    })?;
    stage.finish();
    Ok(BuildReport { read, ..from_written(path, writer, encoder, options, progress)? })
}

/// Builds the index of documents that a program has at `path`, a passage each.
///
/// # Errors
/// As [`Engine::build`](crate::Engine::build), and the first error that `documents` yields.
pub fn from_documents(
    documents: impl IntoIterator<Item = Result<Document>>,
    path: &Path,
    encoder: &Encoder,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let mut writer = Writer::create(path)?;
    for document in documents {
        writer.push_document(&document?)?;
    }
    from_written(path, writer, encoder, options, progress)
}

/// Builds the index of embeddings made elsewhere at `path`.
///
/// # Errors
/// If an array is malformed or does not fit the others, an id is repeated, `path` is taken, the memory budget is too
/// small, or the disk is full. Nothing is left at `path` then.
pub fn from_arrays(
    arrays: &Arrays,
    path: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let mut source = ArraySource::open(&arrays.embeddings, &arrays.doclens)?;
    let mut writer = Writer::create(path)?;
    push_ids(&mut writer, arrays.ids.as_deref(), source.num_passages())?;
    from_source(path, writer, &mut source, None, options, progress)
}

/// Builds the index of the documents that the writer has been given.
fn from_written(
    path: &Path,
    mut writer: Writer,
    encoder: &Encoder,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let documents = writer.finish_documents()?;
    if documents.is_empty() {
        return Err(Error::EmptyCollection { path: path.into() });
    }
    let mut reader = documents.reader();
    let mut source = TextSource::new(encoder, documents.len(), |pid| Ok(reader.text(pid)?));
    let report = from_source(path, writer, &mut source, Some(encoder_info(encoder)), options, progress)?;
    Ok(BuildReport { truncated: source.num_truncated(), passage_maxlen: encoder.recipe().passage.max_len, ..report })
}

/// Builds the index of a source whose documents the writer has.
fn from_source(
    path: &Path,
    mut writer: Writer,
    source: &mut dyn Source,
    encoder: Option<EncoderInfo>,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let dim = source.dim();
    let save = |folder: &PathBuf| Saver::create(folder, TextKind::Passage, dim, false);
    let mut saver = options.save_embeddings.as_ref().map(save).transpose()?;
    let mut source = Pooled::new(source, options.pool);
    let (counts, backend) = on_device!(options.device, backend => {
        let counts = pipeline::run(&backend, &mut writer, &mut source, options, saver.as_mut(), progress);
        counts.map(|counts| (counts, backend.name()))
    })?;
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        backend,
        seed: options.seed,
        sample_passages: counts.sampled_passages as u64,
        sample_tokens: counts.sampled_tokens as u64,
        kmeans_rounds: counts.kmeans_rounds as u32,
        pool: Some(options.pool).filter(|&factor| factor > 1),
    };
    writer.finish(ManifestInfo { encoder, build, search: None })?;
    let index = Index::open(path, Check::Structure)?;
    if let Some(saver) = saver {
        saver.finish(index.ids().map(|id| Ok(id?)))?;
    }
    Ok(BuildReport {
        passages: index.num_passages(),
        tokens: counts.num_tokens,
        centroids: index.codec().params.num_centroids(),
        bytes_per_vector: index.bytes_per_vector(),
        ..BuildReport::default()
    })
}

/// Stores the ids of passages that come as embeddings; without a file they are their numbers.
fn push_ids(writer: &mut Writer, ids: Option<&Path>, num_passages: usize) -> Result<()> {
    let Some(path) = ids else { return Ok(()) };
    let mut lines = lines::Lines::open(path)?;
    let mut found = 0;
    while let Some(id) = lines.next()? {
        writer.push_document(&Document { id: id.to_owned(), text: String::new(), metadata: None })?;
        found += 1;
    }
    if found != num_passages {
        return Err(Error::Count { path: path.into(), expected: num_passages, found });
    }
    writer.finish_documents()?;
    Ok(())
}

fn encoder_info(encoder: &Encoder) -> EncoderInfo {
    // A folder is remembered so that it is found from anywhere; a path that is no text stays as it was given.
    let folder = std::fs::canonicalize(encoder.model()).ok().filter(|path| path.is_dir());
    let folder = folder.and_then(|path| path.into_os_string().into_string().ok());
    EncoderInfo {
        model: folder.unwrap_or_else(|| encoder.model().to_owned()),
        fingerprint: encoder.fingerprint().to_owned(),
        family: encoder.family().to_string(),
        dim: encoder.dim(),
        query_maxlen: encoder.recipe().query.max_len,
        passage_maxlen: encoder.recipe().passage.max_len,
    }
}
