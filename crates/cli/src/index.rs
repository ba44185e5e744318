//! The trip of `selvedge index`: a collection, or embeddings made elsewhere, to an index.

use crate::args::{BuildArgs, CodecArg, IndexArgs};
use crate::build::{BuildOptions, build};
use crate::device::{Device, on_device};
use crate::save::Saver;
use crate::source::{ArraySource, Pooled, Source, TextSource};
use crate::{Error, Result, collection, lines, output, progress, queries};
use selvedge_backend::Backend;
use selvedge_codec::CodecKind;
use selvedge_encoder::Encoder;
use selvedge_index::{BuildInfo, Check, Document, EncoderInfo, Index, ManifestInfo, Writer};
use std::path::Path;

/// `selvedge index`: collection to index.
pub(crate) fn index(args: &IndexArgs) -> Result<()> {
    match (&args.embeddings, &args.doclens, args.paths.as_slice()) {
        (Some(embeddings), Some(doclens), [path]) => {
            let mut source = ArraySource::open(embeddings, doclens)?;
            let mut writer = Writer::create(path)?;
            push_ids(&mut writer, args.ids.as_deref(), source.num_passages())?;
            let saver = saver(args, source.dim())?;
            index_source((&args.build, args.encode.device), path, writer, &mut source, None, saver)
        }
        (None, None, [collection, _]) if collection.extension().is_some_and(|extension| extension == "npy") => {
            let reason = "an array of embeddings: expected --embeddings DOCS.npy --doclens LENS.npy INDEX";
            Err(Error::Usage(format!("{}: {reason}", collection.display())))
        }
        (None, None, [collection, path]) => {
            let encoder = queries::load_encoder(&args.model, &args.encode)?;
            let saver = saver(args, encoder.dim())?;
            index_text(collection, path, &encoder, args.split, (&args.build, args.encode.device), saver)
        }
        (None, ..) => Err(Error::Usage("expected COLLECTION and INDEX".into())),
        (Some(_), ..) => Err(Error::Usage("with --embeddings, expected INDEX alone".into())),
    }
}

/// Where uncompressed vectors are wanted, too.
fn saver(args: &IndexArgs, dim: usize) -> Result<Option<Saver>> {
    args.save_embeddings.as_ref().map(|folder| Saver::create(folder, dim)).transpose()
}

/// Builds the index of a collection of text.
pub(crate) fn index_text(
    collection: &Path,
    path: &Path,
    encoder: &Encoder,
    split: usize,
    how: (&BuildArgs, Device),
    saver: Option<Saver>,
) -> Result<()> {
    let mut writer = Writer::create(path)?;
    let bar = progress::counter("read", "passages");
    collection::read(collection, split, |document| {
        bar.inc(1);
        Ok(writer.push_document(&document)?)
    })?;
    bar.finish();
    let documents = writer.finish_documents()?;
    let mut source = TextSource::new(encoder, documents.len(), |pid| Ok(documents.get(pid)?.text));
    index_source(how, path, writer, &mut source, Some(encoder_info(encoder)), saver)
}

/// Builds the index of a source whose documents the writer already has, and says what came out.
fn index_source(
    (args, device): (&BuildArgs, Device),
    path: &Path,
    mut writer: Writer,
    source: &mut dyn Source,
    encoder: Option<EncoderInfo>,
    mut saver: Option<Saver>,
) -> Result<()> {
    let options = BuildOptions {
        kind: match args.codec {
            CodecArg::Selvedge => CodecKind::Selvedge,
            CodecArg::Colbertv2 => CodecKind::ColbertV2,
        },
        nbits: args.nbits,
        num_centroids: args.centroids.map(|k| k as usize),
        memory_budget: args.memory_budget,
        seed: args.seed,
    };
    let mut source = Pooled::new(source, args.pool);
    let (report, backend) = on_device!(device, backend => {
        build(&backend, &mut writer, &mut source, &options, saver.as_mut()).map(|report| (report, backend.name()))
    })?;
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        backend,
        seed: args.seed,
        sample_passages: report.sampled_passages as u64,
        sample_tokens: report.sampled_tokens as u64,
        kmeans_rounds: selvedge_codec::plan::KMEANS_ITERATIONS as u32,
        pool: Some(args.pool).filter(|&factor| factor > 1),
    };
    writer.finish(ManifestInfo { encoder, build, search: None })?;
    let index = Index::open(path, Check::Lengths)?;
    if let Some(saver) = saver {
        saver.finish((0..index.num_passages()).map(|pid| Ok(index.id(pid)?)))?;
    }
    let bytes_per_vector = output::info_json(&index)["bytes_per_vector"].as_f64().unwrap_or_default();
    eprintln!(
        "{}: {} passages, {} tokens, {} centroids, {bytes_per_vector:.2} bytes a vector",
        path.display(),
        index.num_passages(),
        report.num_tokens,
        index.codec().params.num_centroids()
    );
    Ok(())
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
    EncoderInfo {
        model: encoder.model().to_owned(),
        fingerprint: encoder.fingerprint().to_owned(),
        family: format!("{:?}", encoder.family()),
        dim: encoder.dim(),
        query_maxlen: encoder.recipe().query.max_len,
        passage_maxlen: encoder.recipe().passage.max_len,
    }
}
