//! Building an index from a collection of text, from documents in memory, or from embeddings.
//!
//! ```text
//! collection --read--> stored documents --encode--> embeddings --pipeline--> codes, residuals, lists --> manifest
//! ```
//!
//! The index appears at its path when it is complete: the manifest is written last.

mod budget;
pub(crate) mod compress;
mod given;
mod options;
pub mod pipeline;
mod reservoir;

pub(crate) use self::budget::Budget;
pub use self::options::BuildOptions;
use self::pipeline::Counts;
pub use crate::arrays::Arrays;
use crate::collection::ReadReport;
use crate::device::on_device;
use crate::embedded::{EmbeddedDocument, EmbeddedSource, check_dim};
use crate::progress::{Progress, Stage};
use crate::save::Saver;
use crate::source::{ArraySource, Pooled, Source, TextSource, pooled_doclen};
use crate::{Error, Result, collection, words};
use selvedge_backend::Backend;
use selvedge_encoder::{Encoder, TextKind, shipped};
use selvedge_index::{BuildInfo, Check, Document, Documents, EncoderInfo, Index, ManifestInfo, Writer};
use std::path::{Path, PathBuf};

/// Counts and sizes of an index that was built.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct BuildReport {
    /// Generation of the index.
    pub generation: u32,
    /// Number of passages.
    pub passages: u32,
    /// Number of embeddings.
    pub tokens: u64,
    /// Number of centroids.
    pub centroids: usize,
    /// Bytes on disk per embedding, without the stored text.
    pub bytes_per_vector: f64,
    /// Number of passages that were cut at the encoder's maximum length: the rest of their text is not searched.
    pub truncated: usize,
    /// The encoder's maximum length of a passage in tokens; 0 for arrays.
    pub passage_maxlen: usize,
    /// Files and lines of the collection that were skipped; empty for documents and arrays.
    pub read: ReadReport,
}

/// Builds the index of the collection at `collection` (a folder, JSONL, TSV or `-`) at `path`.
///
/// # Errors
/// The errors of [`collection::read`], and the errors of [`from_documents`] except [`Error::NoDocuments`].
pub fn from_text(
    collection: &Path,
    path: &Path,
    encoder: &Encoder,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    options.check()?;
    check_budget(encoder, options)?;
    let mut writer = create(path, options)?;
    let mut stage = Stage::new(progress, "read", "passages", None);
    let (read, sources) = collection::read_recorded(collection, encoder, &options.read, |document| {
        stage.add(1)?;
        push_document(&mut writer, &document, options.memory_budget)
    })?;
    stage.finish();
    if let Some(sources) = sources {
        writer.set_sources(&sources.to_bytes())?;
    }
    Ok(BuildReport { read, ..from_written(path, writer, encoder, options, progress)? })
}

/// Builds the index of `documents`, one passage each, at `path`.
///
/// # Errors
/// Nothing is left at `path` after an error.
/// - [`Error::BadOption`] if an option is out of range, [`Error::Budget`] if the memory budget is too small.
/// - [`Error::Index`] if `path` exists, the index refuses a document (an id that is blank or repeated, metadata that
///   is not an object), or the disk is full.
/// - [`Error::NoDocuments`] and [`Error::NoTokens`] if there is nothing to index.
/// - [`Error::Encoder`], [`Error::Codec`], [`Error::Sample`] and [`Error::Backend`] if a passage cannot be encoded or
///   compressed, or the device is not available.
/// - [`Error::Io`] if [`BuildOptions::save_embeddings`] cannot be written, [`Error::Cancelled`] if `progress` stops the
///   build.
/// - The first error that `documents` yields.
pub fn from_documents(
    documents: impl IntoIterator<Item = Result<Document>>,
    path: &Path,
    encoder: &Encoder,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    options.check()?;
    check_budget(encoder, options)?;
    let mut writer = create(path, options)?;
    let mut stage = Stage::new(progress, "read", "passages", None);
    for document in documents {
        push_document(&mut writer, &document?, options.memory_budget)?;
        stage.add(1)?;
    }
    stage.finish();
    from_written(path, writer, encoder, options, progress)
}

/// Builds an index at `path` from embeddings in files: NumPy arrays or safetensors.
///
/// # Errors
/// Nothing is left at `path` after an error.
/// - [`Error::Npy`], [`Error::NotFinite`], [`Error::EmptyCollection`] or [`Error::Io`] if an array cannot be read.
/// - [`Error::Count`] if the number of ids is not that of the passages, [`Error::RefusedLine`] if an id is blank or
///   repeated.
/// - The errors of [`from_documents`] except the encoder's.
pub fn from_arrays(
    arrays: &Arrays,
    path: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    options.check()?;
    let mut source = ArraySource::open(arrays)?;
    let mut writer = Writer::create(path)?;
    let ids = push_ids(&mut writer, &source, options.memory_budget)?;
    compressed(path, writer, &mut source, ids.as_ref(), options.made_by.clone(), options, progress)
}

/// Builds an index at `path` from documents that have their embeddings, of `dim` components. They are read one by one:
/// memory does not hold the collection.
///
/// # Errors
/// Nothing is left at `path` after an error: [`Error::BadEmbeddings`] if embeddings of a document have another
/// dimension or a component that is not finite, and the errors of [`from_documents`] except the encoder's.
pub fn from_embedded(
    dim: usize,
    documents: impl IntoIterator<Item = Result<EmbeddedDocument>>,
    path: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    options.check()?;
    let mut writer = create_embedded(path, options)?;
    let mut source = EmbeddedSource::collect(dim, documents, &mut writer, options.memory_budget, progress)?;
    let written = writer.finish_documents()?;
    compressed(path, writer, &mut source, Some(&written), options.made_by.clone(), options, progress)
}

/// Builds an index at `path` from a source of embeddings, and the documents of its passages, in the order of pids.
/// Without documents, ids are the numbers of the passages.
///
/// # Errors
/// Nothing is left at `path` after an error: [`Error::BadOption`] if there is not one document per passage, the errors
/// of the source, and the errors of [`from_documents`] except the encoder's.
pub fn from_source(
    source: &mut dyn Source,
    documents: Option<Box<dyn Iterator<Item = Result<Document>> + '_>>,
    path: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    options.check()?;
    check_dim(source.dim())?;
    let mut writer = create_embedded(path, options)?;
    let written = push_documents(&mut writer, documents, source.num_passages(), options.memory_budget)?;
    compressed(path, writer, source, written.as_ref(), options.made_by.clone(), options, progress)
}

/// Stores the documents of a source's passages, if there are any.
pub(crate) fn push_documents(
    writer: &mut Writer,
    documents: Option<Box<dyn Iterator<Item = Result<Document>> + '_>>,
    num_passages: usize,
    memory_budget: u64,
) -> Result<Option<Documents>> {
    if num_passages == 0 {
        return Err(Error::NoDocuments);
    }
    let Some(documents) = documents else { return Ok(None) };
    let mut found = 0;
    for document in documents {
        push_document(writer, &document?, memory_budget)?;
        found += 1;
    }
    match found == num_passages {
        true => Ok(Some(writer.finish_documents()?)),
        false => Err(Error::option("documents", found, "expected one for each passage of the embeddings")),
    }
}

/// Prepares an index of texts, with words if the options have a language.
fn create(path: &Path, options: &BuildOptions) -> Result<Writer> {
    let mut writer = Writer::create(path)?;
    if let Some(language) = options.language {
        words::make(&mut writer, language);
    }
    Ok(writer)
}

/// Prepares an index of documents with embeddings. It has words if the model is known: queries of text need both.
fn create_embedded(path: &Path, options: &BuildOptions) -> Result<Writer> {
    if options.made_by.is_some() { create(path, options) } else { Ok(Writer::create(path)?) }
}

/// Refuses, before the collection is read, a memory budget that cannot hold a passage.
fn check_budget(encoder: &Encoder, options: &BuildOptions) -> Result<()> {
    let max_doclen = pooled_doclen(encoder.text_rules().passage.max_len, options.pool).max(1);
    Budget::new(options.memory_budget, encoder.dim()).check(options.num_centroids, max_doclen)
}

/// Stores a document. The index's table of ids counts against the memory budget.
pub(crate) fn push_document(writer: &mut Writer, document: &Document, budget_bytes: u64) -> Result<()> {
    writer.push_document(document)?;
    let needed_bytes = writer.bytes_held() as u64;
    if needed_bytes <= budget_bytes {
        return Ok(());
    }
    Err(Error::Budget { budget_bytes, needed_bytes, what: "the ids of the passages read so far".into() })
}

/// Builds the index of the documents in the writer.
fn from_written(
    path: &Path,
    mut writer: Writer,
    encoder: &Encoder,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let documents = writer.finish_documents()?;
    if documents.is_empty() {
        return Err(Error::NoDocuments);
    }
    let mut reader = documents.reader();
    let mut source = TextSource::new(encoder, documents.len(), |pid| Ok(reader.text(pid)?), progress);
    let info = Some(encoder_info(encoder));
    let report = compressed(path, writer, &mut source, Some(&documents), info, options, progress)?;
    Ok(BuildReport {
        truncated: source.num_truncated(),
        passage_maxlen: encoder.text_rules().passage.max_len,
        ..report
    })
}

/// Builds the index of a source; `documents` are those in the writer, if there are any.
fn compressed(
    path: &Path,
    mut writer: Writer,
    source: &mut dyn Source,
    documents: Option<&Documents>,
    encoder: Option<EncoderInfo>,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport> {
    let (dim, num_passages, is_f32) = (source.dim(), source.num_passages() as u32, source.needs_f32());
    if let Some(made_by) = encoder.as_ref().filter(|made_by| made_by.dim != dim) {
        return Err(selvedge_search::Error::DimMismatch { expected: made_by.dim, found: dim }.into());
    }
    let save = |folder: &PathBuf| Saver::create(folder, TextKind::Passage, dim, is_f32);
    let mut saver = options.save_embeddings.as_ref().map(save).transpose()?;
    let mut source = Pooled::new(source, options.pool);
    let (counts, backend) = on_device!(options.device, backend => {
        let saver = saver.as_mut();
        let counts = match &options.codec_from {
            Some(given) => given::run(given, &mut writer, &mut source, encoder.as_ref(), options, saver, progress),
            None => pipeline::run(&backend, &mut writer, &mut source, options, saver, progress),
        };
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
    // Completed before the index, so that no index appears if this fails.
    if let Some(saver) = saver {
        let mut reader = documents.map(Documents::reader);
        saver.finish((0..num_passages).map(|pid| match &mut reader {
            Some(reader) => Ok(reader.id(pid)?),
            None => Ok(pid.to_string()),
        }))?;
    }
    writer.finish(ManifestInfo { encoder, build, search: None })?;
    let index = Index::open(path, Check::Structure)?;
    Ok(BuildReport {
        generation: index.generation(),
        passages: index.num_passages(),
        tokens: counts.num_tokens,
        centroids: index.manifest().codec.num_centroids,
        bytes_per_vector: index.bytes_per_vector(),
        ..BuildReport::default()
    })
}

/// Stores the ids of passages that come as embeddings; without any they are numbered.
pub(crate) fn push_ids(writer: &mut Writer, source: &ArraySource, memory_budget: u64) -> Result<Option<Documents>> {
    let push = |id| push_document(writer, &Document { id, text: String::new(), metadata: None }, memory_budget);
    match source.ids(push)? {
        true => Ok(Some(writer.finish_documents()?)),
        false => Ok(None),
    }
}

fn encoder_info(encoder: &Encoder) -> EncoderInfo {
    EncoderInfo {
        model: lasting_name(encoder.model()),
        fingerprint: encoder.fingerprint().to_owned(),
        family: encoder.family().to_string(),
        dim: encoder.dim(),
        query_maxlen: encoder.text_rules().query.max_len,
        passage_maxlen: encoder.text_rules().passage.max_len,
    }
}

/// Returns the name under which a model is found from any working directory: a folder becomes an absolute path, unless
/// that is not UTF-8. The shipped model's name is never a folder's, as for [`Encoder::load`].
fn lasting_name(model: &str) -> String {
    let folder = std::fs::canonicalize(model).ok().filter(|path| model != shipped::NAME && path.is_dir());
    folder.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| model.to_owned())
}
