//! An open index with its encoder and its device: what a program asks.

use crate::device::on_device;
use crate::queries::{Queries, QuerySource, encoder_of};
use crate::snippet::{Similarities, Snippet};
use crate::{BuildOptions, BuildReport, Error, EvalOptions, OpenOptions, Progress, Qrels, Report, Result};
use crate::{SearchOptions, TuneOptions, TuneReport, build, eval, queries, tune};
use rayon::prelude::*;
use selvedge_encoder::Encoder;
use selvedge_index::{Check, Document, Index};
use selvedge_search::{Ranking, Search, Searcher, StageTimes};
use std::path::Path;
use std::sync::OnceLock;

/// An index below this size has every checksum checked before it is searched; it takes well under a second.
const CHECKED_BYTES: u64 = 1 << 30;

/// An open index, ready to answer from any thread.
pub struct Engine {
    index: Index,
    search: Box<dyn Search>,
    options: OpenOptions,
    encoder: OnceLock<Encoder>,
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Hit {
    /// Number of the passage in the index, from 0.
    #[serde(skip)]
    pub pid: u32,
    /// The passage's id.
    pub id: String,
    /// Sum over query tokens of their best similarity.
    pub score: f32,
    /// The text, where it was asked for and the index has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The part of the text that matched best, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
    /// The metadata, where it was asked for and the passage has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
}

/// The answer to one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchOutput {
    /// At most `k` passages, best first; ties in the order of the collection.
    pub hits: Vec<Hit>,
    /// Number of passages whose residuals were read.
    pub num_scored: usize,
    /// Microseconds of each stage, query encoding aside.
    pub stages_us: StageTimes,
}

impl Engine {
    /// Builds the index of a collection (a folder, JSONL, TSV or `-`) at `path`.
    ///
    /// # Errors
    /// If the model does not load, the collection or a line of it cannot be read, `path` is taken, the memory budget is
    /// too small, or the disk is full. Nothing is left at `path` then.
    pub fn build(
        collection: &Path,
        path: &Path,
        options: &BuildOptions,
        progress: &dyn Progress,
    ) -> Result<BuildReport> {
        let encoder = Encoder::load(&options.model, &options.encoder)?;
        build::from_text(collection, path, &encoder, options, progress)
    }

    /// Opens the index at `path` on a device.
    ///
    /// # Errors
    /// If a file of the index is missing, damaged or of another format version, the device cannot be had, or (with
    /// [`OpenOptions::load_model`]) the encoder does not load or is not the one that made the index.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self> {
        let index = open_index(path)?;
        let search = on_device!(options.device, backend => {
            Ok::<_, Error>(Box::new(Searcher::new(backend, &index)?) as Box<dyn Search>)
        })?;
        let engine = Self { index, search, options, encoder: OnceLock::new() };
        if engine.options.load_model {
            engine.encoder()?;
        }
        Ok(engine)
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The searcher, for embeddings made elsewhere and for stages by themselves.
    pub fn searcher(&self) -> &dyn Search {
        &*self.search
    }

    /// The encoder of queries, loaded by the first call.
    ///
    /// # Errors
    /// If it does not load, or is not the one that made the index.
    pub fn encoder(&self) -> Result<&Encoder> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder);
        }
        // Two threads may both load it; one of the two is kept.
        let encoder = encoder_of(&self.index, &self.options)?;
        Ok(self.encoder.get_or_init(|| encoder))
    }

    /// Answers a question.
    ///
    /// # Errors
    /// If the encoder does not load or fails, or the index cannot be read.
    pub fn search(&self, text: &str, options: &SearchOptions) -> Result<SearchOutput> {
        let query = self.encoder()?.encode_queries(&[text])?;
        self.search_embeddings(&query.data, options)
    }

    /// Answers questions, one core of the current rayon pool each.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub fn search_batch(&self, texts: &[impl AsRef<str> + Sync], options: &SearchOptions) -> Result<Vec<SearchOutput>> {
        let queries = self.encoder()?.encode_queries(texts)?;
        self.search_embeddings_batch(&queries.iter().collect::<Vec<_>>(), options)
    }

    /// Answers a query `(Q, D) f32`.
    ///
    /// # Errors
    /// If the embeddings do not fit the index, the device fails, or the index cannot be read.
    pub fn search_embeddings(&self, query: &[f32], options: &SearchOptions) -> Result<SearchOutput> {
        let params = options.params(self.searcher());
        self.output(query, self.search.search(query, &params, options.subset.as_deref())?, options)
    }

    /// Answers queries `(Q, D) f32`, one core of the current rayon pool each.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`].
    pub fn search_embeddings_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<SearchOutput>> {
        let params = options.params(self.searcher());
        let outcomes = self.search.search_batch(queries, &params, options.subset.as_deref())?;
        queries.par_iter().zip(outcomes).map(|(query, outcome)| self.output(query, outcome, options)).collect()
    }

    /// Reads queries and encodes those that are texts.
    ///
    /// # Errors
    /// If a file or a line of it cannot be read, arrays do not fit the index or each other, or the encoder fails.
    pub fn queries(&self, source: &QuerySource) -> Result<Queries> {
        queries::load(source, self)
    }

    /// Measures quality and speed: see [`mod@eval`].
    ///
    /// # Errors
    /// If no query has a judgment, the embeddings given do not fit the index, or the encoder, the device or the index
    /// fails.
    pub fn eval(
        &self,
        queries: &Queries,
        qrels: &Qrels,
        options: &EvalOptions,
        progress: &dyn Progress,
    ) -> Result<Report> {
        eval::eval(self, queries, qrels, options, progress)
    }

    /// Finds the fastest search parameters for a recall, and stores them in the index. This engine keeps the parameters
    /// that it was opened with.
    ///
    /// # Errors
    /// If no query finds a passage, or the index cannot be written.
    pub fn tune(&self, queries: &Queries, options: &TuneOptions, progress: &dyn Progress) -> Result<TuneReport> {
        tune::tune(self, queries, options, progress)
    }

    /// Adds ids, and what else is asked for of each hit.
    fn output(&self, query: &[f32], outcome: Ranking, options: &SearchOptions) -> Result<SearchOutput> {
        let hits = outcome.found.iter().map(|found| self.hit(query, found, options)).collect::<Result<_>>()?;
        Ok(SearchOutput { hits, num_scored: outcome.num_scored, stages_us: outcome.stages_us })
    }

    fn hit(&self, query: &[f32], found: &selvedge_search::Hit, options: &SearchOptions) -> Result<Hit> {
        let &selvedge_search::Hit { pid, score, .. } = found;
        // An index of embeddings has ids alone.
        let has_text = self.index.manifest().encoder.is_some();
        let wants_text = has_text && (options.text || options.snippet.is_some());
        if !(wants_text || options.metadata) {
            return Ok(Hit { pid, id: self.index.id(pid)?, score, text: None, snippet: None, metadata: None });
        }
        let Document { id, text, metadata } = self.index.document(pid)?;
        let snippet = options.snippet.filter(|_| has_text).map(|chars| self.snippet(query, pid, &text, chars));
        Ok(Hit {
            pid,
            id,
            score,
            snippet: snippet.transpose()?,
            text: Some(text).filter(|_| has_text && options.text),
            metadata: metadata.filter(|_| options.metadata),
        })
    }

    /// The part of a passage that a query matched, or its beginning where rows and tokens cannot be paired: of a pooled
    /// index, and where no encoder is loaded.
    fn snippet(&self, query: &[f32], pid: u32, text: &str, chars: usize) -> Result<Snippet> {
        let is_pooled = self.index.manifest().build.pool.is_some();
        let Some(encoder) = self.encoder.get().filter(|_| !is_pooled) else {
            return Ok(Snippet::beginning(text, chars));
        };
        let spans = encoder.passage_token_spans(text)?;
        let rows = self.search.reconstruct(pid)?;
        Ok(Snippet::of_match(text, chars, &spans, &Similarities::new(self.search.dim(), query, &rows)))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("path", &self.index.path())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Opens an index, with every checksum checked where that is quick.
fn open_index(path: &Path) -> Result<Index> {
    let index = Index::open(path, Check::Structure)?;
    let bytes: u64 = index.bytes_on_disk().values().sum();
    if bytes > CHECKED_BYTES { Ok(index) } else { Ok(Index::open(path, Check::Checksums)?) }
}
