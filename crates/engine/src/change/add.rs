//! Adding and replacing passages.

use super::compact::{merge_by, within};
use super::{AddOptions, ChangeReport, index_of, manifest_of};
use crate::build::{Arrays, compress, pipeline, push_document, push_documents, push_ids};
use crate::embedded::{EmbeddedDocument, EmbeddedSource};
use crate::progress::{Progress, Stage};
use crate::queries::{check_fingerprint, encoder_of};
use crate::source::{ArraySource, Pooled, Source, TextSource};
use crate::words;
use crate::{Assignment, Engine, Error, OpenOptions, Result, collection};
use selvedge_encoder::Encoder;
use selvedge_index::{Document, Index, Manifest, Writer};
use std::cell::OnceCell;
use std::path::Path;

/// Passages to add.
pub enum Additions<'a> {
    /// A collection: a folder, JSONL, TSV or `-`.
    Collection(&'a Path),
    /// Documents in memory, one passage each.
    Documents(Box<dyn Iterator<Item = Result<Document>> + 'a>),
    /// Embeddings in files. Without ids, passages are numbered on from the number of passages ever added.
    Arrays(&'a Arrays),
    /// Documents with their embeddings, of the index's dimension. They are read one by one.
    Embedded(Box<dyn Iterator<Item = Result<EmbeddedDocument>> + 'a>),
    /// A source of embeddings of the index's dimension, and the documents of its passages, in the order of pids.
    /// Without documents, passages are numbered on from the number of passages ever added.
    Source(&'a mut dyn Source, Option<Box<dyn Iterator<Item = Result<Document>> + 'a>>),
}

/// Adds passages to the index at `path`, compressed with its codec, or replaces those that have their ids.
///
/// # Errors
/// The index is then as it was.
/// - [`Error::Index`] if there is no index, another process changes it, it has a passage of an id that is added
///   ([`selvedge_index::Error::IdExists`]; [`Error::RefusedLine`] if the id is on a line), an id is repeated, or the
///   disk is full.
/// - [`Error::MadeFromEmbeddings`] for text and an index of embeddings, [`Error::IdsNeeded`] for embeddings without ids
///   that replace others.
/// - The errors of [`Engine::encoder`](crate::Engine::encoder), of [`collection::read`] and of
///   [`build::from_documents`](crate::build::from_documents).
/// - [`Error::BadEmbeddings`] if embeddings of a document in memory do not fit the index.
/// - [`Error::Npy`] if an array is malformed, or its embeddings have another dimension than the index.
pub fn add(
    path: &Path,
    additions: Additions<'_>,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    let mut writer = Writer::open(path)?;
    words::keep(&mut writer)?;
    add_to(writer, None, additions, options, progress)
}

/// Adds passages to the index that a writer changes, with the encoder and the codec that an engine has loaded.
pub(crate) fn add_to(
    mut writer: Writer,
    engine: Option<&Engine>,
    additions: Additions<'_>,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    if options.replace {
        writer.replace_existing();
    }
    let path = index_of(&writer).path().to_owned();
    let own = OnceCell::new();
    let encoder_for = |writer: &Writer| match engine {
        Some(engine) => check_text(writer).and_then(|()| loaded(engine, index_of(writer), options)),
        None => encoder(writer, options).map(|encoder| own.get_or_init(|| encoder)),
    };
    let committed = match additions {
        Additions::Arrays(arrays) => add_arrays(writer, engine, arrays, options, progress)?,
        Additions::Embedded(documents) => {
            let (dim, budget) = (index_of(&writer).dim(), options.memory_budget);
            let mut source = EmbeddedSource::collect(dim, documents, &mut writer, budget, progress)?;
            writer.finish_documents()?;
            append(writer, engine, &mut source, options, progress)?
        }
        Additions::Source(source, documents) => {
            let expected = index_of(&writer).dim();
            if source.dim() != expected {
                return Err(selvedge_search::Error::DimMismatch { expected, found: source.dim() }.into());
            }
            if options.replace && documents.is_none() {
                return Err(Error::IdsNeeded { path });
            }
            push_documents(&mut writer, documents, source.num_passages(), options.memory_budget)?;
            append(writer, engine, source, options, progress)?
        }
        Additions::Collection(collection) => {
            let encoder = encoder_for(&writer)?;
            let mut stage = Stage::new(progress, "read", "passages", None);
            let read = collection::read(collection, Some(encoder), &options.read, |document| {
                stage.add(1)?;
                push_document(&mut writer, &document, options.memory_budget)
            })?;
            stage.finish();
            let mut committed = add_texts(writer, engine, encoder, options, progress)?;
            committed.report.read = read;
            committed
        }
        Additions::Documents(documents) => {
            let encoder = encoder_for(&writer)?;
            let mut stage = Stage::new(progress, "read", "passages", None);
            for document in documents {
                push_document(&mut writer, &document?, options.memory_budget)?;
                stage.add(1)?;
            }
            stage.finish();
            add_texts(writer, engine, encoder, options, progress)?
        }
    };
    Ok(merged(&path, committed, options, progress))
}

/// A change that was committed.
pub(super) struct Committed {
    pub(super) report: ChangeReport,
    pub(super) manifest: Manifest,
}

/// Merges segments by the policy of the options, after a change. The change is committed whatever becomes of the merge,
/// which the next change tries again.
pub(super) fn merged(path: &Path, committed: Committed, options: &AddOptions, progress: &dyn Progress) -> ChangeReport {
    let Committed { report, manifest } = committed;
    let Some(policy) = options.policy else { return report };
    let (policy, limits) = within(policy, options.memory_budget, manifest.codec.dim);
    // Most changes need no merge, and then the index is not opened again.
    if policy.plan(&manifest.segments).is_empty() {
        return report;
    }
    match merge_by(path, |segments| policy.plan(segments), limits, progress) {
        Ok(merged) => ChangeReport { generation: merged.generation, segments: merged.segments.len(), ..report },
        Err(error) => {
            tracing::warn!("generation {} is committed, but its segments were not merged: {error}", report.generation);
            report
        }
    }
}

/// Loads the encoder of the passages.
pub(super) fn encoder(writer: &Writer, options: &AddOptions) -> Result<Encoder> {
    check_text(writer)?;
    let open = OpenOptions {
        model: options.model.clone(),
        any_model: options.any_model,
        encoder: options.encoder.clone(),
        ..OpenOptions::default()
    };
    encoder_of(index_of(writer), &open)
}

/// The encoder that an engine has loaded. Another one than the index's has to be accepted for passages too.
fn loaded<'a>(engine: &'a Engine, index: &Index, options: &AddOptions) -> Result<&'a Encoder> {
    let encoder = engine.encoder()?;
    match options.any_model {
        true => Ok(encoder),
        false => check_fingerprint(index, encoder).map(|()| encoder),
    }
}

/// Checks that the index was made from text.
fn check_text(writer: &Writer) -> Result<()> {
    let index = index_of(writer);
    match index.encoder() {
        Some(_) => Ok(()),
        None => Err(Error::MadeFromEmbeddings { path: index.path().into() }),
    }
}

/// Adds the passages whose documents are in the writer.
pub(super) fn add_texts(
    mut writer: Writer,
    engine: Option<&Engine>,
    encoder: &Encoder,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<Committed> {
    let documents = writer.finish_documents()?;
    if documents.is_empty() {
        return Err(Error::NoDocuments);
    }
    let mut reader = documents.reader();
    let mut source = TextSource::new(encoder, documents.len(), |pid| Ok(reader.text(pid)?), progress);
    let mut committed = append(writer, engine, &mut source, options, progress)?;
    committed.report.truncated = source.num_truncated();
    committed.report.passage_maxlen = encoder.text_rules().passage.max_len;
    Ok(committed)
}

fn add_arrays(
    mut writer: Writer,
    engine: Option<&Engine>,
    arrays: &Arrays,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<Committed> {
    let index = index_of(&writer);
    let mut source = ArraySource::open_of_dim(arrays, index.dim())?;
    if index.encoder().is_some() {
        tracing::warn!("the passages added as embeddings have no text in this index of texts");
    }
    let ids = push_ids(&mut writer, &source, options.memory_budget)?;
    if options.replace && ids.is_none() {
        return Err(Error::IdsNeeded { path: arrays.embeddings.clone() });
    }
    append(writer, engine, &mut source, options, progress)
}

/// Compresses all passages of a source, whose documents are in the writer, and commits them.
fn append(
    mut writer: Writer,
    engine: Option<&Engine>,
    source: &mut dyn Source,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<Committed> {
    let before = manifest_of(&writer);
    let added = source.num_passages() as u32;
    let mut source = Pooled::new(source, before.build.pool.unwrap_or(1).max(1));
    let codec = match engine {
        Some(engine) => engine.codec_of(index_of(&writer))?,
        None => compress::on(options.device, index_of(&writer).codec()?, Some(Assignment::Exact))?,
    };
    let (num_centroids, budget) = (before.codec.num_centroids, options.memory_budget);
    pipeline::append(&*codec, num_centroids, &mut writer, &mut source, budget, None, progress)?;
    let manifest = writer.commit()?;
    Ok(Committed { report: ChangeReport::new(&before, &manifest, added), manifest })
}
