//! Quality and speed of an index, and the losses of each layer: the model, the compression, the approximate search.
//!
//! | ranking | computed from | cause of its loss against the row above |
//! |---|---|---|
//! | exact f32 MaxSim | uncompressed embeddings, given or encoded again from the stored text | |
//! | exhaustive search | compressed embeddings of every passage | compression |
//! | search | compressed embeddings of the candidates that the options allow | approximate search |
//! | dense | a single vector per passage, a baseline | |

mod compare;
mod dense;
pub mod metrics;
mod passes;
pub mod truth;

use crate::arrays::Arrays;
use crate::snapshot::Snapshot;
use crate::source::{ArraySource, Pooled, Source, TextSource};
use crate::{Engine, Error, Fusion, Progress, Qrels, Queries, RankBy, Result, SearchOptions};
pub use compare::{Compared, ComparedReport};
use metrics::{Quality, overlap};
use passes::Passes;
use selvedge_backend::Cpu;
use selvedge_encoder::Embeddings;
use selvedge_index::Index;
use selvedge_search::{Mode, SearchParams};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// Least depth of a ranking that is measured: the depth of Recall@100.
const LEAST_DEPTH: usize = 100;

/// Options of [`Engine::eval`].
#[derive(Clone, Debug, Default)]
pub struct EvalOptions {
    /// Depth (raised to 100), parameters, filter and ids of the ranking that is measured. Every ranking has only
    /// passages that these leave; a relevant passage outside of it counts as not found.
    pub search: SearchOptions,
    /// Ground truth: the uncompressed embeddings of the passages. `None`: the stored text is encoded again.
    pub embeddings: Option<Arrays>,
    /// Whether a single vector per passage (mean pooling, cosine) of the same model is measured, too.
    pub dense: bool,
    /// Other rankings of the index that are measured beside it, by the fusion of [`EvalOptions::fusion`] where two
    /// scores are fused.
    pub compare: Vec<Compared>,
    /// Fusion of a hybrid ranking.
    pub fusion: Fusion,
}

/// Measurements of [`Engine::eval`]; field names are the JSON's.
#[derive(Clone, Debug, Serialize)]
pub struct EvalReport {
    /// Number of queries with a judgment, over which the means run.
    pub judged_queries: usize,
    /// Number of queries.
    pub queries: usize,
    /// Number of judgments of these queries.
    pub judgments: usize,
    /// Number of judgments of these queries whose passage is not in the index.
    pub judgments_not_indexed: usize,
    /// Id of a judged passage that is not in the index, the first in order of ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_not_indexed: Option<String>,
    /// Quality of the index's ranking.
    #[serde(flatten)]
    pub quality: Quality,
    /// Share of exact f32 MaxSim's top 10 among the index's top 10.
    #[serde(rename = "recall_vs_exact@10")]
    pub recall_vs_exact_10: f64,
    /// Share of exact f32 MaxSim's top 100 among the index's top 100.
    #[serde(rename = "recall_vs_exact@100")]
    pub recall_vs_exact_100: f64,
    /// Share of the exhaustive top 10 that the search found; 1 for [`SearchOptions::exact`].
    #[serde(rename = "funnel_vs_exhaustive@10")]
    pub approximate_10: f64,
    /// Share of the exhaustive top 100 that the search found; 1 for [`SearchOptions::exact`].
    #[serde(rename = "funnel_vs_exhaustive@100")]
    pub approximate_100: f64,
    /// Quality of exact f32 MaxSim over uncompressed embeddings: the limit that the model sets.
    pub exact_f32: Quality,
    /// Quality of a single vector per passage, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dense: Option<Quality>,
    /// Quality and time of the rankings of [`EvalOptions::compare`], in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<ComparedReport>,
    /// Parameters of the search that was measured.
    pub params: SearchParams,
    /// Time of one query in milliseconds, one query at a time, without query encoding.
    pub latency_ms: Latency,
    /// Throughput of all queries as one batch on all threads, without query encoding.
    pub queries_per_second: f64,
    /// Number of threads of the current rayon pool.
    pub threads: usize,
    /// Name of the backend, such as `cpu/avx2`.
    pub backend: String,
}

/// Percentiles of the time of a query, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Measures an index: see [`Engine::eval`].
pub(crate) fn eval(
    engine: &Engine,
    queries: &Queries,
    qrels: &Qrels,
    options: &EvalOptions,
    progress: &dyn Progress,
) -> Result<EvalReport> {
    let snapshot = engine.snapshot();
    let arrays = check(engine, &snapshot, queries, qrels, options)?;
    let (index, search) = (snapshot.index(), snapshot.searcher());
    let ids = all_ids(index)?;
    let coverage = Coverage::new(queries, qrels, &ids)?;
    let k = options.search.k.max(LEAST_DEPTH);
    let set = snapshot.passages(&options.search)?;
    let params = options.search.params_for(k, search, set.as_deref());
    let passes = Passes { search, queries: &queries.rows(), set: set.as_deref(), progress };
    let started = Instant::now();
    let found = passes.rankings("search", &params)?;
    let batch_seconds = started.elapsed().as_secs_f64();
    let latency_ms = passes.latency(&params)?;
    let exhaustive = match params.mode {
        Mode::Exact => found.clone(),
        Mode::Approximate { .. } => passes.rankings("exhaustive search", &SearchParams::exact(k))?,
    };
    let pids = snapshot.pids(set.as_deref());
    let exact = exact_f32(engine, index, queries, arrays, &pids, k, progress)?;
    let texts = queries.texts.as_deref().filter(|_| options.dense);
    let dense = texts.map(|texts| dense::rankings(engine.encoder()?, index, texts, &pids, k, progress)).transpose()?;
    let quality = |rankings: &[Vec<u32>]| {
        let named = |r: &Vec<u32>| r.iter().map(|&pid| ids[pid as usize].as_str()).collect();
        qrels.quality(&queries.ids, &rankings.iter().map(named).collect::<Vec<Vec<&str>>>())
    };
    let ranker = compare::Comparison { snapshot: &snapshot, queries, set: set.as_deref(), options, k, progress };
    let compared = ranker.measure(engine, &pids, quality)?;
    Ok(EvalReport {
        judged_queries: qrels.num_judged(&queries.ids),
        queries: queries.ids.len(),
        judgments: coverage.judgments,
        judgments_not_indexed: coverage.not_indexed,
        first_not_indexed: coverage.first_not_indexed,
        quality: quality(&found),
        recall_vs_exact_10: overlap(&found, &exact, 10),
        recall_vs_exact_100: overlap(&found, &exact, 100),
        approximate_10: overlap(&found, &exhaustive, 10),
        approximate_100: overlap(&found, &exhaustive, 100),
        exact_f32: quality(&exact),
        dense: dense.as_deref().map(quality),
        compared,
        params,
        latency_ms,
        queries_per_second: queries.ids.len() as f64 / batch_seconds,
        threads: rayon::current_num_threads(),
        backend: search.backend_name(),
    })
}

/// Number of judged passages that the index has.
struct Coverage {
    /// Number of judgments of the queries.
    judgments: usize,
    /// Number of these whose passage is not in the index.
    not_indexed: usize,
    /// Id of such a passage, the first in order of ids.
    first_not_indexed: Option<String>,
}

impl Coverage {
    /// Counts the judgments of `queries` whose passage is among `ids`, at least one.
    fn new(queries: &Queries, qrels: &Qrels, ids: &[String]) -> Result<Self> {
        let indexed: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let judged = queries.ids.iter().filter_map(|query| qrels.of_query(query)).flat_map(HashMap::keys);
        let (known, missing): (Vec<&str>, Vec<&str>) =
            judged.map(String::as_str).partition(|&passage| indexed.contains(passage));
        let judgments = known.len() + missing.len();
        let first_not_indexed = missing.iter().min().map(|&id| id.to_owned());
        match first_not_indexed {
            Some(judged) if known.is_empty() => Err(Error::NoneIndexed {
                qrels: qrels.path().into(),
                judgments,
                judged,
                indexed: ids.first().cloned().unwrap_or_default(),
            }),
            first_not_indexed => Ok(Self { judgments, not_indexed: missing.len(), first_not_indexed }),
        }
    }
}

/// Refuses, before the first search, inputs that do not fit each other, and opens the arrays of the ground truth.
fn check(
    engine: &Engine,
    snapshot: &Snapshot,
    queries: &Queries,
    qrels: &Qrels,
    options: &EvalOptions,
) -> Result<Option<ArraySource>> {
    options.search.check()?;
    if options.search.rank_by != RankBy::MaxSim {
        let value = format!("{:?}", options.search.rank_by);
        return Err(Error::option("rank_by", value, "eval measures MaxSim, and `compare` names other rankings"));
    }
    options.fusion.check()?;
    queries.check(true)?;
    if qrels.num_judged(&queries.ids) == 0 {
        return Err(Error::NothingJudged {
            qrels: qrels.path().into(),
            judged: qrels.first_query().into(),
            queries: queries.path.clone(),
            asked: queries.ids.first().cloned().unwrap_or_default(),
        });
    }
    let is_dense = options.dense || options.compare.contains(&Compared::Dense);
    let needs_texts = is_dense || options.compare.iter().any(|compared| *compared != Compared::MaxSim);
    if needs_texts && queries.texts.is_none() {
        return Err(Error::NoQueryTexts);
    }
    if options.compare.iter().any(|compared| matches!(compared, Compared::Lexical | Compared::Hybrid)) {
        snapshot.open_words()?;
    }
    if options.embeddings.is_none() || is_dense {
        // An index of embeddings has an empty text for each passage.
        if snapshot.index().manifest().encoder.is_none() {
            return Err(Error::NoText);
        }
        engine.encoder()?;
    }
    options.embeddings.as_ref().map(|arrays| open_arrays(snapshot.index(), arrays)).transpose()
}

/// Opens the uncompressed embeddings of the passages that are not deleted. Their ids, if they have any but the numbers
/// of an order, must be the index's.
fn open_arrays(index: &Index, arrays: &Arrays) -> Result<ArraySource> {
    let source = ArraySource::open_of_dim(arrays, index.dim())?;
    let (expected, found) = (index.num_passages() as usize, source.num_passages());
    if expected != found {
        return Err(Error::Count { path: source.path().into(), expected, found });
    }
    let (mut ids, mut number, mut is_numbered, mut other) = (index.ids(), 0u32, true, None);
    source.ids(|id| {
        let expected = ids.next().transpose()?.unwrap_or_default();
        is_numbered &= id == number.to_string();
        if id != expected && other.is_none() {
            other = Some(format!("passage {number} has the id {id:?}, in the index {expected:?}"));
        }
        number += 1;
        Ok(())
    })?;
    match other.filter(|_| !is_numbered) {
        Some(reason) => Err(Error::Npy { path: source.path().into(), reason }),
        None => Ok(source),
    }
}

/// Ranks by exact f32 MaxSim over the arrays given, or over the stored text encoded again.
fn exact_f32(
    engine: &Engine,
    index: &Index,
    queries: &Queries,
    arrays: Option<ArraySource>,
    pids: &[u32],
    k: usize,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u32>>> {
    let backend = Cpu::new()?;
    if let Some(array) = arrays {
        let mut source = ByPid { array, alive: index.pids().collect() };
        return truth::exact(&backend, &mut source, &queries.embeddings, pids, k, progress);
    }
    let mut documents = index.documents().reader();
    let text = |pid| Ok(documents.text(pid)?);
    let mut source = TextSource::new(engine.encoder()?, index.num_pids() as usize, text, progress);
    let mut source = Pooled::new(&mut source, index.manifest().build.pool.unwrap_or(1).max(1));
    truth::exact(&backend, &mut source, &queries.embeddings, pids, k, progress)
}

/// Id of each pid; empty for a deleted passage, as no id is.
fn all_ids(index: &Index) -> Result<Vec<String>> {
    let mut ids = vec![String::new(); index.num_pids() as usize];
    for (pid, id) in index.pids().zip(index.ids()) {
        ids[pid as usize] = id?;
    }
    Ok(ids)
}

/// Array of the embeddings of the passages that are not deleted, read by their pids.
struct ByPid {
    array: ArraySource,
    /// Their pids, ascending.
    alive: Vec<u32>,
}

impl Source for ByPid {
    fn dim(&self) -> usize {
        self.array.dim()
    }

    fn num_passages(&self) -> usize {
        self.alive.last().map_or(0, |&last| last as usize + 1)
    }

    fn max_doclen(&self) -> usize {
        self.array.max_doclen()
    }

    fn is_costly(&self) -> bool {
        self.array.is_costly()
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let place = |pid| self.alive.binary_search(pid).expect("a pid that is not deleted") as u32;
        let places: Vec<u32> = pids.iter().map(place).collect();
        self.array.fetch(&places)
    }
}
