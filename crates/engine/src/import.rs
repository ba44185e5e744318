//! Import: an index of another program, read by `selvedge-bridges`, becomes one of this project, with its documents.
//!
//! ```text
//! numbers, or a collection --Documents--> ids, texts, metadata --> words
//! source --as_is or recode---------------------------------------> segments --> manifest
//! ```

use crate::collection::{ReadOptions, read};
use crate::{BuildOptions, Check, Error, Index, Language, Result, words};
use selvedge_bridges::{Documents, Found, Source, as_is, recode};
use selvedge_codec::{Progress, plan};
use selvedge_index::{BuildInfo, EncoderInfo, Limits, ManifestInfo, Writer};
use std::path::{Path, PathBuf};

/// Bytes per token while a segment's lists are inverted, of which a quarter of the budget holds as many as fit.
const LIST_BYTES: u64 = 8;

/// Bytes per component of a centroid around which residuals are coded anew: two copies of f32 in this space and two in
/// the codec's, while it is trained.
const RECODE_BYTES: u64 = 16;

/// Bytes of a writer per id, at least.
const LEAST_ID_BYTES: u64 = 17;

/// Options of an import, besides the source.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Whether embeddings are decoded, and their residuals compressed anew by this project's codec, around the source's
    /// centroids.
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

/// Imports `source`, which [`selvedge_bridges::open`] opened, as the new index `path`. Nothing is left there after an
/// error.
///
/// # Errors
/// [`Error::BadOption`] for a language without a collection, [`Error::Budget`] if the budget is too small; the errors
/// of [`as_is()`], [`recode()`], [`Documents`] and [`read`](fn@read); [`Error::Cancelled`] if `progress` stops the
/// import.
pub fn import_index(
    source: &mut Source,
    path: &Path,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    if let (Some(language), None) = (options.language, &options.collection) {
        let reason = "the source holds no texts to make words of; a collection gives them";
        return Err(Error::option("language", language, reason));
    }
    let of_training = if options.recode { bytes_of_training(source) } else { 0 };
    check_budget(options, source.bytes_held() + LEAST_ID_BYTES * source.alive().len() as u64 + of_training)?;
    let mut writer = Writer::create(path)?;
    if let Some(language) = options.language {
        words::make(&mut writer, language);
    }
    write_documents(source, &mut writer, options)?;
    let segment_tokens = (options.memory_budget / 4 / LIST_BYTES).clamp(1, 1 << 30) as u32;
    writer.set_limits(Limits { segment_tokens, ..Limits::default() });
    let build = match options.recode {
        true => recode(source, &mut writer, options.nbits.unwrap_or(source.found.nbits), progress)?,
        false => {
            as_is(source, &mut writer, progress)?;
            BuildInfo::default()
        }
    };
    let build = BuildInfo { version: env!("CARGO_PKG_VERSION").into(), ..build };
    writer.finish(ManifestInfo { encoder: encoder(options, &source.found), build, search: None })?;
    Ok(Imported::of(&Index::open(path, Check::Structure)?))
}

/// Memory of the centroids and of the sample, around and on which a codec is trained.
fn bytes_of_training(source: &Source) -> u64 {
    let sample = source.found.embeddings.min(plan::MAX_HELD_OUT as u64) * source.codec.dim as u64;
    RECODE_BYTES * source.codec.centroids.len() as u64 + 4 * sample
}

/// Refuses a budget that cannot hold what grows with the passages.
fn check_budget(options: &ImportOptions, needed_bytes: u64) -> Result<()> {
    let budget_bytes = options.memory_budget;
    match needed_bytes <= budget_bytes {
        true => Ok(()),
        false => {
            let what = "the ids, lengths and places of the source's passages, and the training if it is recoded".into();
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
