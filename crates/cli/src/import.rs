//! `selvedge import`: an index of another program, or a store of points, becomes an index of this project.

use crate::args::ImportArgs;
use crate::log::note;
use crate::output::{self, counted};
use crate::progress::Bars;
use crate::{Error, Result, points};
use selvedge::build::pipeline;
use selvedge::collection::{ReadOptions, read};
use selvedge::source::Source as Embeddings;
use selvedge::{BuildOptions, Check, Cpu, Index};
use selvedge_bridges::{Block, Decoder, Documents, Found, Source, as_is, open};
use selvedge_index::{BuildInfo, EncoderInfo, Limits, Manifest, ManifestInfo, Writer};
use std::io::Write;
use std::path::Path;

/// Bytes per token while a segment's lists are inverted, of which a quarter of the budget holds as many as fit.
const LIST_BYTES: u64 = 8;

/// Description of the source, and the index that was made of it.
#[derive(serde::Serialize)]
struct Report<'a, S> {
    source: &'a S,
    #[serde(flatten)]
    index: Option<Imported>,
}

/// Counts of the new index.
#[derive(serde::Serialize)]
struct Imported {
    generation: u32,
    passages: u32,
    tokens: u64,
    centroids: usize,
    bytes_per_vector: f64,
}

/// Imports an index, or says what it would import.
pub(crate) fn import(args: &ImportArgs) -> Result<()> {
    if points::import(args)? {
        return Ok(());
    }
    if let Some(flag) = args.flag_of_points() {
        return Err(Error::Usage(format!("{flag}: {} is no store of points", args.source.display())));
    }
    if args.nbits.is_some() && !args.recode {
        return Err(Error::Usage("--nbits needs --recode".into()));
    }
    let mut source = open(&args.source)?;
    note_found(args, &source.found);
    if args.index.is_some() && !args.dry_run {
        write(args, &mut source)?;
    }
    report(args, &source.found, &described(&source.found))
}

/// Notes the counts of the index, and prints the report, or what was found.
pub(crate) fn report<S: serde::Serialize>(args: &ImportArgs, source: &S, described: &str) -> Result<()> {
    let index = match (&args.index, args.dry_run) {
        (Some(path), false) => {
            let index = Index::open(path, Check::Structure)?;
            let centroids = index.manifest().codec.num_centroids;
            note!(
                "{}: {}, {}, {}, {:.2} bytes per vector",
                path.display(),
                counted(index.num_passages(), "passage"),
                counted(index.num_tokens(), "token"),
                counted(centroids as u64, "centroid"),
                index.bytes_per_vector()
            );
            Some(Imported {
                generation: index.generation(),
                passages: index.num_passages(),
                tokens: index.num_tokens(),
                centroids,
                bytes_per_vector: index.bytes_per_vector(),
            })
        }
        _ => None,
    };
    let report = Report { source, index };
    let mut out = std::io::stdout().lock();
    match (args.json, &report.index) {
        (true, _) => output::report_json(&mut out, &report),
        (false, None) => output::print(writeln!(out, "{described}")),
        (false, Some(_)) => Ok(()),
    }
}

/// Description of what was found, on one line.
fn described(found: &Found) -> String {
    format!(
        "{}, dim {}, {} bits, {}, {}, {}, {} deleted, model {}",
        found.format.name(),
        found.dim,
        found.nbits,
        counted(found.centroids as u64, "centroid"),
        counted(found.passages as u64, "passage"),
        counted(found.embeddings, "token"),
        found.deleted,
        found.checkpoint.as_deref().unwrap_or("unknown")
    )
}

fn note_found(args: &ImportArgs, found: &Found) {
    if !args.dry_run || args.json {
        note!("{}: {}", args.source.display(), described(found));
    }
    found.notes.iter().for_each(|text| note!("{text}"));
}

/// Writes the index.
fn write(args: &ImportArgs, source: &mut Source) -> Result<Manifest> {
    let path = args.index.as_deref().expect("clap requires an index");
    let mut writer = Writer::create(path)?;
    let mut documents = Documents::new(source)?;
    match &args.collection {
        None => documents.number(&mut writer)?,
        Some(collection) => {
            let push = |document| Ok(documents.push(&mut writer, document)?);
            read(collection, None, &ReadOptions::default(), push)?;
            documents.finish(collection)?;
        }
    }
    writer.finish_documents()?;
    let encoder = encoder(args, &source.found);
    let mut build = BuildInfo { version: env!("CARGO_PKG_VERSION").into(), ..BuildInfo::default() };
    if args.recode {
        let nbits = args.nbits.unwrap_or(source.found.nbits);
        let options = BuildOptions { nbits, memory_budget: args.memory_budget, ..BuildOptions::default() };
        let backend = Cpu::new()?;
        let mut decoded =
            Decoded { path: &args.source, decoder: Decoder::new(&source.codec), source, block: Block::default() };
        let counts = pipeline::run(&backend, &mut writer, &mut decoded, &options, None, &Bars::default())?;
        build = BuildInfo {
            seed: options.seed,
            backend: selvedge::Backend::name(&backend),
            sample_passages: counts.sampled_passages as u64,
            sample_tokens: counts.sampled_tokens as u64,
            kmeans_rounds: counts.kmeans_rounds as u32,
            ..build
        };
    } else {
        let segment_tokens = (args.memory_budget / 4 / LIST_BYTES).clamp(1, 1 << 30) as u32;
        writer.set_limits(Limits { segment_tokens, ..Limits::default() });
        as_is(source, &mut writer, &Bars::default())?;
    }
    Ok(writer.finish(ManifestInfo { encoder, build, search: None })?)
}

/// The model that made the embeddings, as far as the source says it.
fn encoder(args: &ImportArgs, found: &Found) -> Option<EncoderInfo> {
    let model = args.model.clone().or_else(|| found.checkpoint.clone())?;
    Some(EncoderInfo {
        model,
        fingerprint: String::new(),
        family: "imported".into(),
        dim: found.dim,
        query_maxlen: found.query_maxlen.unwrap_or(0),
        passage_maxlen: found.passage_maxlen.unwrap_or(0),
    })
}

/// Decoded embeddings of the passages that are not deleted, for a build.
struct Decoded<'a> {
    path: &'a Path,
    source: &'a mut Source,
    decoder: Decoder,
    block: Block,
}

impl Embeddings for Decoded<'_> {
    fn dim(&self) -> usize {
        self.source.codec.dim
    }

    fn num_passages(&self) -> usize {
        self.source.alive().len()
    }

    fn max_doclen(&self) -> usize {
        self.source.doclens.iter().max().map_or(0, |&most| most as usize)
    }

    fn max_tokens(&self) -> usize {
        self.source.found.embeddings as usize
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn fetch(&mut self, numbers: &[u32]) -> selvedge::Result<selvedge::Embeddings> {
        let mut out = selvedge::Embeddings { dim: self.dim(), ..Default::default() };
        for &number in numbers {
            let stored = self.source.alive()[number as usize];
            let read = self.source.read(stored..stored + 1, &mut self.block);
            read.map_err(|error| std::io::Error::other(error.to_string())).map_err(selvedge::Error::io(self.path))?;
            self.decoder.decode(&self.block, &mut out.data);
            out.lens.push(self.source.doclens[stored as usize]);
        }
        Ok(out)
    }
}
