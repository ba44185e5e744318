//! `selvedge eval`: what the model loses, what the index loses, what the funnel loses, and how fast.

pub mod metrics;
pub mod truth;

use crate::progress::Stage;
use crate::source::{ArraySource, Pooled, Source, TextSource};
use crate::{Engine, Error, Progress, Qrels, Queries, Result, SearchOptions};
use metrics::{Quality, overlap};
use selvedge_backend::Cpu;
use selvedge_encoder::TextKind;
use selvedge_index::Index;
use selvedge_search::{Mode, Ranking, Search, SearchParams};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

/// The least depth of a ranking that is measured: that of Recall@100.
const LEAST_DEPTH: usize = 100;

/// Options of [`Engine::eval`].
#[derive(Clone, Debug, Default)]
pub struct EvalOptions {
    /// Depth (at least 100) and parameters of the ranking that is measured.
    pub search: SearchOptions,
    /// Uncompressed embeddings of the passages `(total_tokens, D)` and tokens of each: the ground truth. Without them
    /// the stored text is encoded again.
    pub embeddings: Option<(PathBuf, PathBuf)>,
    /// Whether a single vector per passage (mean pooling, cosine) of the same model is measured too.
    pub dense: bool,
}

/// Everything that `eval` measures; field names are the JSON's.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Queries with a judgment, which the means run over.
    pub judged_queries: usize,
    /// All queries.
    pub queries: usize,
    /// Judgments of these queries.
    pub judgments: usize,
    /// Judgments of these queries whose passage is not in the index.
    pub judgments_not_indexed: usize,
    /// A passage of such a judgment.
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
    /// Share of the exact compressed top 10 that the funnel found; 1 with `--exact`.
    #[serde(rename = "funnel_vs_exhaustive@10")]
    pub funnel_10: f64,
    /// Share of the exact compressed top 100 that the funnel found; 1 with `--exact`.
    #[serde(rename = "funnel_vs_exhaustive@100")]
    pub funnel_100: f64,
    /// Quality of exact f32 MaxSim on the uncompressed vectors: what the model allows.
    pub exact_f32: Quality,
    /// Quality of a single vector a passage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dense: Option<Quality>,
    /// How the index was searched.
    pub params: SearchParams,
    /// Time of one query, query encoding aside, one query at a time.
    pub latency_ms: Latency,
    /// All queries as one batch on all threads, query encoding aside.
    pub queries_per_second: f64,
    /// Threads.
    pub threads: usize,
    /// What computed.
    pub backend: String,
}

/// Percentiles over the queries.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Measures an index.
pub(crate) fn eval(
    engine: &Engine,
    queries: &Queries,
    qrels: &Qrels,
    options: &EvalOptions,
    progress: &dyn Progress,
) -> Result<Report> {
    let judged_queries = qrels.num_judged(&queries.ids);
    if judged_queries == 0 {
        return Err(nothing_judged(qrels, queries));
    }
    let (index, searcher) = (engine.index(), engine.searcher());
    let k = options.search.k.max(LEAST_DEPTH);
    let params = SearchOptions { k, ..options.search.clone() }.params(searcher);
    let rows = queries.rows();
    let started = Instant::now();
    let outcomes = searcher.search_batch(&rows, &params, None)?;
    let batch_seconds = started.elapsed().as_secs_f64();
    let latency_ms = latency(searcher, queries, &params)?;
    let found = pids(&outcomes);
    let exhaustive = match params.mode {
        Mode::Exact => found.clone(),
        Mode::Approximate { .. } => pids(&searcher.search_batch(&rows, &SearchParams::exact(k), None)?),
    };
    let exact = exact_f32(engine, queries, options, k, progress)?;
    let dense = if options.dense { Some(dense(engine, queries, k, progress)?) } else { None };
    let ids = all_ids(index)?;
    let quality = |rankings: &[Vec<u32>]| {
        let named = |r: &Vec<u32>| r.iter().map(|&pid| ids[pid as usize].clone()).collect();
        qrels.quality(&queries.ids, &rankings.iter().map(named).collect::<Vec<Vec<String>>>())
    };
    let indexed: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let judged = queries.ids.iter().filter_map(|query| qrels.of_query(query)).flat_map(HashMap::keys);
    let judged: Vec<&str> = judged.map(String::as_str).collect();
    let not_indexed = judged.iter().copied().filter(|&passage| !indexed.contains(passage));
    Ok(Report {
        judged_queries,
        queries: queries.ids.len(),
        judgments: judged.len(),
        judgments_not_indexed: not_indexed.clone().count(),
        first_not_indexed: not_indexed.min().map(str::to_owned),
        quality: quality(&found),
        recall_vs_exact_10: overlap(&found, &exact, 10),
        recall_vs_exact_100: overlap(&found, &exact, 100),
        funnel_10: overlap(&found, &exhaustive, 10),
        funnel_100: overlap(&found, &exhaustive, 100),
        exact_f32: quality(&exact),
        dense: dense.as_deref().map(quality),
        params,
        latency_ms,
        queries_per_second: queries.ids.len() as f64 / batch_seconds,
        threads: rayon::current_num_threads(),
        backend: searcher.backend_name(),
    })
}

fn nothing_judged(qrels: &Qrels, queries: &Queries) -> Error {
    Error::NothingJudged {
        qrels: qrels.path().into(),
        judged: qrels.first_query().into(),
        queries: queries.path.clone(),
        asked: queries.ids.first().cloned().unwrap_or_default(),
    }
}

fn pids(outcomes: &[Ranking]) -> Vec<Vec<u32>> {
    outcomes.iter().map(|o| o.found.iter().map(|f| f.pid).collect()).collect()
}

fn latency(searcher: &dyn Search, queries: &Queries, params: &SearchParams) -> Result<Latency> {
    let mut times = Vec::with_capacity(queries.embeddings.len());
    for query in &queries.embeddings {
        let started = Instant::now();
        searcher.search(query, params, None)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0);
    Ok(Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99) })
}

/// Exact f32 MaxSim over the vectors given, or over the stored text encoded again.
fn exact_f32(
    engine: &Engine,
    queries: &Queries,
    options: &EvalOptions,
    k: usize,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u32>>> {
    let (index, backend) = (engine.index(), Cpu::new()?);
    if let Some((embeddings, doclens)) = &options.embeddings {
        let mut source = ArraySource::open(embeddings, doclens)?;
        let (expected, found) = (index.num_passages() as usize, source.num_passages());
        if expected != found {
            return Err(Error::Count { path: doclens.clone(), expected, found });
        }
        if source.dim() != index.codec().params.dim {
            let (expected, found) = (index.codec().params.dim, source.dim());
            return Err(selvedge_search::Error::DimMismatch { expected, found }.into());
        }
        return truth::exact(&backend, &mut source, &queries.embeddings, k, progress);
    }
    if index.manifest().encoder.is_none() {
        return Err(Error::NoText);
    }
    let mut documents = index.documents().reader();
    let text = |pid| Ok(documents.text(pid)?);
    let mut source = TextSource::new(engine.encoder()?, index.num_passages() as usize, text);
    let mut source = Pooled::new(&mut source, index.manifest().build.pool.unwrap_or(1).max(1));
    truth::exact(&backend, &mut source, &queries.embeddings, k, progress)
}

/// The single-vector baseline: mean pooling, cosine.
fn dense(engine: &Engine, queries: &Queries, k: usize, progress: &dyn Progress) -> Result<Vec<Vec<u32>>> {
    let Some(texts) = &queries.texts else { return Err(Error::NoQueryTexts) };
    let (index, encoder) = (engine.index(), engine.encoder()?);
    let encoded = encoder.encode_dense(texts, TextKind::Query)?;
    let mut stage = Stage::new(progress, "dense", "passages", Some(index.num_passages().into()));
    let (mut passages, mut documents) = (Vec::new(), index.documents().reader());
    let pids: Vec<u32> = (0..index.num_passages()).collect();
    for block in pids.chunks(1024) {
        let texts: Vec<String> = block.iter().map(|&pid| Ok(documents.text(pid)?)).collect::<Result<_>>()?;
        passages.extend(encoder.encode_dense(&texts, TextKind::Passage)?.data);
        stage.add(block.len() as u64)?;
    }
    Ok(truth::nearest(encoded.dim, &encoded.data, &passages, k))
}

fn all_ids(index: &Index) -> Result<Vec<String>> {
    index.ids().map(|id| Ok(id?)).collect()
}
