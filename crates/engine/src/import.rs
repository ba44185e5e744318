//! Import: an index of another program, read by `selvedge-bridges`, becomes one of this project, with its documents.
//!
//! ```text
//! numbers, or a collection --Documents--> ids, texts, metadata --> words
//! source --as_is, or a Decoder and the build---------------------> segments --> manifest
//! ```

use crate::build::pipeline;
use crate::collection::{ReadOptions, read};
use crate::source::Source as Embeddings;
use crate::{Backend, BuildOptions, Check, Cpu, Error, Index, Language, Result, words};
use selvedge_bridges::{Block, Decoder, Documents, Found, Source, as_is};
use selvedge_codec::Progress;
use selvedge_index::{BuildInfo, EncoderInfo, Limits, ManifestInfo, Writer};
use std::path::{Path, PathBuf};

/// Bytes per token while a segment's lists are inverted, of which a quarter of the budget holds as many as fit.
const LIST_BYTES: u64 = 8;

/// Bytes of a writer per id, at least.
const LEAST_ID_BYTES: u64 = 17;

/// Options of an import, besides the source.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Whether embeddings are decoded and compressed anew, by this project's codec.
    pub recode: bool,
    /// Bits per component of residuals that are made anew; `None`: as many as the source has.
    pub nbits: Option<u8>,
    /// Documents of the passages, deleted ones included, in the order of their numbers.
    pub collection: Option<PathBuf>,
    /// Language of the words that the texts of the collection are indexed by; `None` for no words.
    pub language: Option<Language>,
    /// Model that made the embeddings; `None`: the checkpoint that the source names, if it does.
    pub model: Option<String>,
    /// Bytes that the import may use.
    pub memory_budget: u64,
}

impl Default for ImportOptions {
    fn default() -> Self {
        let memory_budget = BuildOptions::default().memory_budget;
        Self { recode: false, nbits: None, collection: None, language: None, model: None, memory_budget }
    }
}

/// Counts of an index that was imported.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Imported {
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
}

impl Imported {
    /// Counts of an index.
    pub fn of(index: &Index) -> Self {
        Self {
            generation: index.generation(),
            passages: index.num_passages(),
            tokens: index.num_tokens(),
            centroids: index.manifest().codec.num_centroids,
            bytes_per_vector: index.bytes_per_vector(),
        }
    }
}

/// Imports `source`, which [`selvedge_bridges::open`] opened from `folder`, as the new index `path`. Nothing is left
/// there after an error.
///
/// # Errors
/// [`Error::BadOption`] for a language without a collection, [`Error::Budget`] if the budget is too small; the errors
/// of [`as_is()`], of [`Documents`], of [`read`](fn@read) and of a build; [`Error::Cancelled`] if `progress` stops the
/// import.
pub fn import_index(
    source: &mut Source,
    folder: &Path,
    path: &Path,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    if let (Some(language), None) = (options.language, &options.collection) {
        let reason = "the source holds no texts to make words of; a collection gives them";
        return Err(Error::option("language", language, reason));
    }
    check_budget(options, source.bytes_held() + LEAST_ID_BYTES * source.alive().len() as u64)?;
    let mut writer = Writer::create(path)?;
    if let Some(language) = options.language {
        words::make(&mut writer, language);
    }
    write_documents(source, &mut writer, options)?;
    let build = match options.recode {
        true => recode(source, folder, &mut writer, options, progress)?,
        false => {
            let segment_tokens = (options.memory_budget / 4 / LIST_BYTES).clamp(1, 1 << 30) as u32;
            writer.set_limits(Limits { segment_tokens, ..Limits::default() });
            as_is(source, &mut writer, progress)?;
            BuildInfo::default()
        }
    };
    let build = BuildInfo { version: env!("CARGO_PKG_VERSION").into(), ..build };
    writer.finish(ManifestInfo { encoder: encoder(options, &source.found), build, search: None })?;
    Ok(Imported::of(&Index::open(path, Check::Structure)?))
}

/// Refuses a budget that cannot hold what grows with the passages.
fn check_budget(options: &ImportOptions, needed_bytes: u64) -> Result<()> {
    let budget_bytes = options.memory_budget;
    match needed_bytes <= budget_bytes {
        true => Ok(()),
        false => {
            let what = "the ids, lengths and places of the source's passages".into();
            Err(Error::Budget { budget_bytes, needed_bytes, what })
        }
    }
}

fn write_documents(source: &Source, writer: &mut Writer, options: &ImportOptions) -> Result<()> {
    let mut documents = Documents::new(source)?;
    match &options.collection {
        None => documents.number(writer)?,
        Some(collection) => {
            let held = source.bytes_held();
            let push = |document| {
                documents.push(writer, document)?;
                check_budget(options, held + writer.bytes_held() as u64)
            };
            read(collection, None, &ReadOptions::default(), push)?;
            documents.finish(collection)?;
        }
    }
    writer.finish_documents()?;
    Ok(())
}

/// Decodes all embeddings, and compresses them as a build does.
fn recode(
    source: &mut Source,
    folder: &Path,
    writer: &mut Writer,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<BuildInfo> {
    let nbits = options.nbits.unwrap_or(source.found.nbits);
    let options = BuildOptions { nbits, memory_budget: options.memory_budget, ..BuildOptions::default() };
    let backend = Cpu::new()?;
    let mut decoded = Decoded { folder, decoder: Decoder::new(&source.codec), source, block: Block::default() };
    let counts = pipeline::run(&backend, writer, &mut decoded, &options, None, progress)?;
    Ok(BuildInfo {
        seed: options.seed,
        backend: backend.name(),
        sample_passages: counts.sampled_passages as u64,
        sample_tokens: counts.sampled_tokens as u64,
        kmeans_rounds: counts.kmeans_rounds as u32,
        ..BuildInfo::default()
    })
}

/// The model that made the embeddings, as far as the source says it.
fn encoder(options: &ImportOptions, found: &Found) -> Option<EncoderInfo> {
    let model = options.model.clone().or_else(|| found.checkpoint.clone())?;
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
    folder: &'a Path,
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

    fn fetch(&mut self, numbers: &[u32]) -> Result<crate::Embeddings> {
        let mut out = crate::Embeddings { dim: self.dim(), ..Default::default() };
        let stored: Vec<u32> = numbers.iter().map(|&number| self.source.alive()[number as usize]).collect();
        // Neighbours are read and decoded at once.
        for run in stored.chunk_by(|before, next| before + 1 == *next) {
            let (first, end) = (run[0], run[0] + run.len() as u32);
            let read = self.source.read(first..end, &mut self.block);
            read.map_err(|error| std::io::Error::other(error.to_string())).map_err(Error::io(self.folder))?;
            self.decoder.decode(&self.block, &mut out.data);
            out.lens.extend_from_slice(&self.source.doclens[first as usize..end as usize]);
        }
        Ok(out)
    }
}
