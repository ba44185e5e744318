//! Adding and replacing passages.

use super::compact::merge_by;
use super::{AddOptions, ChangeReport, manifest_of};
use crate::build::{Arrays, pipeline, push_document, push_ids};
use crate::device::on_device;
use crate::progress::{Progress, Stage};
use crate::queries::encoder_of;
use crate::source::{ArraySource, Pooled, Source, TextSource};
use crate::{Error, OpenOptions, Result, collection};
use selvedge_encoder::Encoder;
use selvedge_index::{Document, Index, Writer};
use std::path::Path;

/// Passages to add.
pub enum Additions<'a> {
    /// A collection: a folder, JSONL, TSV or `-`.
    Collection(&'a Path),
    /// Documents in memory, one passage each.
    Documents(Box<dyn Iterator<Item = Result<Document>> + 'a>),
    /// Embeddings in files. Without ids, passages are numbered on from the number of passages ever added.
    Arrays(&'a Arrays),
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
/// - [`Error::Search`] if the embeddings have another dimension than the index.
pub fn add(
    path: &Path,
    additions: Additions<'_>,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    let mut writer = Writer::open(path)?;
    if options.replace {
        writer.replace_existing();
    }
    let report = match additions {
        Additions::Arrays(arrays) => add_arrays(writer, arrays, options, progress)?,
        Additions::Collection(collection) => {
            let encoder = encoder(&writer, options)?;
            let mut stage = Stage::new(progress, "read", "passages", None);
            let read = collection::read(collection, Some(&encoder), &options.read, |document| {
                stage.add(1)?;
                push_document(&mut writer, &document, options.memory_budget)
            })?;
            stage.finish();
            ChangeReport { read, ..add_texts(writer, &encoder, options, progress)? }
        }
        Additions::Documents(documents) => {
            let encoder = encoder(&writer, options)?;
            let mut stage = Stage::new(progress, "read", "passages", None);
            for document in documents {
                push_document(&mut writer, &document?, options.memory_budget)?;
                stage.add(1)?;
            }
            stage.finish();
            add_texts(writer, &encoder, options, progress)?
        }
    };
    merged(path, report, options, progress)
}

/// Merges segments by the policy of the options, after a change with this report.
pub(super) fn merged(
    path: &Path,
    report: ChangeReport,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    let Some(policy) = &options.policy else { return Ok(report) };
    let merged = merge_by(path, |segments| policy.plan(segments), policy.max_tokens, options.memory_budget, progress)?;
    Ok(ChangeReport { generation: merged.generation, segments: merged.segments.len(), ..report })
}

/// Loads the encoder of the passages.
pub(super) fn encoder(writer: &Writer, options: &AddOptions) -> Result<Encoder> {
    let index = writer.index().expect("the writer changes an index");
    if index.encoder().is_none() {
        return Err(Error::MadeFromEmbeddings { path: index.path().into() });
    }
    let open = OpenOptions {
        model: options.model.clone(),
        any_model: options.any_model,
        encoder: options.encoder.clone(),
        ..OpenOptions::default()
    };
    encoder_of(index, &open)
}

/// Adds the passages whose documents are in the writer.
pub(super) fn add_texts(
    mut writer: Writer,
    encoder: &Encoder,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    let documents = writer.finish_documents()?;
    if documents.is_empty() {
        return Err(Error::NoDocuments);
    }
    let mut reader = documents.reader();
    let mut source = TextSource::new(encoder, documents.len(), |pid| Ok(reader.text(pid)?));
    let report = append(writer, &mut source, options, progress)?;
    Ok(ChangeReport {
        truncated: source.num_truncated(),
        passage_maxlen: encoder.text_rules().passage.max_len,
        ..report
    })
}

fn add_arrays(
    mut writer: Writer,
    arrays: &Arrays,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    let mut source = ArraySource::open(&arrays.embeddings, &arrays.doclens)?;
    let index = writer.index().expect("the writer changes an index");
    let (expected, found) = (index.dim(), source.dim());
    if expected != found {
        return Err(selvedge_search::Error::DimMismatch { expected, found }.into());
    }
    if options.replace && arrays.ids.is_none() {
        return Err(Error::IdsNeeded { path: arrays.embeddings.clone() });
    }
    if index.encoder().is_some() {
        tracing::warn!("the passages added as embeddings have no text in this index of texts");
    }
    push_ids(&mut writer, arrays.ids.as_deref(), source.num_passages(), options.memory_budget)?;
    append(writer, &mut source, options, progress)
}

/// Compresses all passages of a source, whose documents are in the writer, and commits them.
fn append(
    mut writer: Writer,
    source: &mut dyn Source,
    options: &AddOptions,
    progress: &dyn Progress,
) -> Result<ChangeReport> {
    let before = manifest_of(&writer);
    let added = source.num_passages() as u32;
    let codec = writer.index().map(Index::codec).expect("the writer changes an index").clone();
    let mut source = Pooled::new(source, before.build.pool.unwrap_or(1).max(1));
    let budget = options.memory_budget;
    on_device!(options.device, backend => {
        pipeline::append(&backend, &codec, &mut writer, &mut source, budget, progress)
    })?;
    let after = writer.commit()?;
    Ok(ChangeReport::new(&before, &after, added))
}
