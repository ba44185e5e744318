//! The `selvedge` command line: text in, ranked passages out.
//!
//! [`run`] takes parsed arguments; each command is one function. The two trips are `index` (collection
//! to index) and `search` (queries to passages).
#![forbid(unsafe_code)]

pub mod args;
mod budget;
pub mod build;
pub mod collection;
pub mod device;
mod devices;
mod error;
pub mod eval;
mod lines;
pub mod metrics;
pub mod npy;
mod output;
mod progress;
pub mod queries;
pub mod save;
pub mod source;
mod train;
pub mod truth;
mod tune;

pub use error::{Error, Result};

use args::{Cli, CodecArg, Command, EvalArgs, FunnelArgs, IndexArgs, InfoArgs, SearchArgs, VerifyArgs};
use build::{BuildOptions, build};
use device::on_device;
use selvedge_backend::Backend;
use selvedge_codec::CodecKind;
use selvedge_encoder::Encoder;
use selvedge_index::{BuildInfo, Check, Document, EncoderInfo, Index, ManifestInfo, Writer};
use selvedge_search::{Mode, Params, Searcher};
use source::{ArraySource, Source, TextSource};
use std::io::Write;
use std::path::Path;

/// An index below this size has every checksum checked before it is searched; it takes well under a second.
const CHECKED_BYTES: u64 = 1 << 30;

/// Does what the command line asks for.
pub fn run(cli: &Cli) -> Result<()> {
    let threads = match &cli.command {
        Command::Index(a) => a.encode.threads,
        Command::Search(a) => a.encode.threads,
        Command::Eval(a) => a.encode.threads,
        Command::Tune(a) => a.encode.threads,
        Command::Train(a) => a.encode.threads,
        Command::Verify(a) => a.threads,
        Command::Info(_) | Command::Devices(_) => Some(1), // they compute nothing
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|e| Error::Usage(format!("cannot start {threads:?} threads: {e}")))?;
    pool.install(|| match &cli.command {
        Command::Index(args) => index(args),
        Command::Search(args) => search(args),
        Command::Eval(args) => evaluate(args),
        Command::Tune(args) => tune::tune(args),
        Command::Train(args) => train::train(args),
        Command::Info(args) => info(args),
        Command::Verify(args) => verify(args),
        Command::Devices(args) => devices::devices(args),
    })
}

/// `selvedge index`: collection to index.
fn index(args: &IndexArgs) -> Result<()> {
    match (&args.embeddings, &args.doclens, args.paths.as_slice()) {
        (Some(embeddings), Some(doclens), [path]) => {
            let mut source = ArraySource::open(embeddings, doclens)?;
            let mut writer = Writer::create(path)?;
            push_ids(&mut writer, args.ids.as_deref(), source.num_passages())?;
            index_source(args, path, writer, &mut source, None)
        }
        (None, None, [collection, path]) => {
            let Some(model) = &args.model else {
                return Err(Error::Usage("name the model that encodes the text: --model DIR|HUB_ID".into()));
            };
            let encoder = queries::load_encoder(model, &args.encode)?;
            let mut writer = Writer::create(path)?;
            let bar = progress::counter("read", "passages");
            collection::read(collection, args.split, |document| {
                bar.inc(1);
                Ok(writer.push_document(&document)?)
            })?;
            bar.finish();
            let documents = writer.finish_documents()?;
            let mut source = TextSource::new(&encoder, documents.len(), |pid| Ok(documents.get(pid)?.text));
            index_source(args, path, writer, &mut source, Some(encoder_info(&encoder)))
        }
        (None, ..) => Err(Error::Usage("expected COLLECTION and INDEX".into())),
        (Some(_), ..) => Err(Error::Usage("with --embeddings, expected INDEX alone".into())),
    }
}

/// Builds the index of a source whose documents the writer already has, and says what came out.
fn index_source(
    args: &IndexArgs,
    path: &Path,
    mut writer: Writer,
    source: &mut dyn Source,
    encoder: Option<EncoderInfo>,
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
    let mut saver =
        args.save_embeddings.as_ref().map(|folder| save::Saver::create(folder, source.dim())).transpose()?;
    let (report, backend) = on_device!(args.encode.device, backend => {
        build(&backend, &mut writer, source, &options, saver.as_mut()).map(|report| (report, backend.name()))
    })?;
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        backend,
        seed: args.seed,
        sample_passages: report.sampled_passages as u64,
        sample_tokens: report.sampled_tokens as u64,
        kmeans_rounds: selvedge_codec::plan::KMEANS_ITERATIONS as u32,
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

/// `selvedge search`: queries to passages.
fn search(args: &SearchArgs) -> Result<()> {
    let index = open(&args.index)?;
    let queries = queries::load(&args.source, &args.texts, &index, &args.encode)?;
    let outcomes = on_device!(args.encode.device, backend => {
        let searcher = Searcher::new(backend, &index)?;
        searcher.search_batch(&queries.embeddings, &params(&searcher, args.k, &args.funnel), None)
    })?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, (id, outcome)) in queries.ids.iter().zip(&outcomes).enumerate() {
        if args.json {
            output::search_json(&mut out, &index, id, outcome)?;
        } else {
            let name = queries.texts.as_ref().map_or(id, |texts| &texts[number]);
            output::search_text(&mut out, &index, name, outcome, outcomes.len() > 1)?;
        }
    }
    output::print(out.flush())
}

/// Opens an index, with every checksum checked where that is quick.
fn open(path: &Path) -> Result<Index> {
    let index = Index::open(path, Check::Lengths)?;
    let bytes: u64 = index.bytes_on_disk().values().sum();
    if bytes > CHECKED_BYTES { Ok(index) } else { Ok(Index::open(path, Check::Bytes)?) }
}

/// What the flags say; where they are silent, what was tuned or the defaults.
fn params<B: Backend>(searcher: &Searcher<B>, k: usize, funnel: &FunnelArgs) -> Params {
    let mut params = if funnel.exact { Params::exact(k) } else { searcher.params(k) };
    if let Mode::Funnel { nprobe, ndocs, nfull } = &mut params.mode {
        *nprobe = funnel.nprobe.unwrap_or(*nprobe);
        *ndocs = funnel.ndocs.unwrap_or(*ndocs);
        *nfull = funnel.nfull.unwrap_or(*nfull);
    }
    params
}

/// `selvedge eval`.
fn evaluate(args: &EvalArgs) -> Result<()> {
    let index = open(&args.index)?;
    let report = on_device!(args.encode.device, backend => eval::eval(args, &index, &Searcher::new(backend, &index)?))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::to_string(&report).expect("a report is plain numbers");
        return output::print(writeln!(out, "{line}"));
    }
    output::eval_text(&mut out, &report)
}

/// `selvedge info`.
fn info(args: &InfoArgs) -> Result<()> {
    let index = Index::open(&args.index, Check::Lengths)?;
    let info = output::info_json(&index);
    let mut out = std::io::stdout().lock();
    if args.json { output::print(writeln!(out, "{info}")) } else { output::info_text(&mut out, &info) }
}

/// `selvedge verify`.
fn verify(args: &VerifyArgs) -> Result<()> {
    let report = selvedge_index::verify(&args.index)?;
    let mut out = std::io::stdout().lock();
    for file in &report.files {
        let state = file.status.as_ref().err().map_or("ok".to_owned(), |e| format!("BROKEN: {e}"));
        output::print(writeln!(out, "{:<24} {:>14} bytes  {state}", file.file.name(), file.bytes))?;
    }
    let broken = report.broken().count();
    if broken == 0 {
        Ok(())
    } else {
        Err(Error::Broken { path: args.index.clone(), broken, files: report.files.len() })
    }
}
