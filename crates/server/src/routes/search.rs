//! Search.

use super::input::{EmbeddingsInput, Json, Path, filter};
use crate::changes;
use crate::cursor::Cursor;
use crate::error::{ApiError, Result};
use crate::served::Open;
use crate::state::App;
use crate::trace;
use axum::extract::State;
use selvedge::{Fusion, HitQuery, RankBy, Ranking, SearchOptions, SearchOutput, Snapshot, StageTimes, TextKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Most hits of a page, and most passages that are counted.
const MOST_HITS: usize = 10_000;
/// Most hits of a page that are explained.
const MOST_EXPLAINED: usize = 100;
/// Most hits of all pages of a cursor.
const MOST_PAGED: usize = 10_000;

/// Score that passages are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SearchMode {
    /// MaxSim of the embeddings.
    #[default]
    Maxsim,
    /// MaxSim and BM25, fused.
    Hybrid,
    /// BM25 of the words.
    Lexical,
    /// MaxSim of the best passages by BM25.
    LexicalFirst,
}

/// Extent of explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(crate) enum ExplainInput {
    /// In full, or not.
    Full(bool),
    /// Without the similarities of all pairs of tokens.
    Part(ExplainPart),
}

/// Part of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExplainPart {
    /// Tokens, matches and words.
    Words,
}

impl Default for ExplainInput {
    fn default() -> Self {
        Self::Full(false)
    }
}

/// A search, or the next page of one.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SearchRequest {
    /// Text of the query.
    query: Option<String>,
    /// Embeddings of the query, instead of a text or with it.
    embeddings: Option<EmbeddingsInput>,
    /// Number of hits, 10 by default.
    #[schema(minimum = 1, maximum = 10000)]
    k: Option<usize>,
    /// Score, `maxsim` by default.
    mode: SearchMode,
    /// Weight of MaxSim in a hybrid search of normalized scores, 0 to 1; reciprocal ranks by default.
    #[schema(minimum = 0, maximum = 1)]
    alpha: Option<f32>,
    /// Number of passages that `lexical_first` ranks by MaxSim, 100 by default.
    #[schema(minimum = 1)]
    lexical_first: Option<usize>,
    /// Whether every passage is scored.
    exact: bool,
    /// Cells probed per query token.
    #[schema(minimum = 1)]
    nprobe: Option<usize>,
    /// Candidates ranked by their centroids.
    #[schema(minimum = 1)]
    ndocs: Option<usize>,
    /// Candidates scored with their residuals.
    #[schema(minimum = 1)]
    num_rescored: Option<usize>,
    /// Condition on the metadata: a text such as `year >= 2020`, or JSON.
    #[serde(rename = "where")]
    #[schema(value_type = Option<Value>)]
    filter: Option<Value>,
    /// Ids of the passages that may be found.
    ids: Option<Vec<String>>,
    /// Keys whose values are counted among the best passages.
    facets: Vec<String>,
    /// Number of the best passages that are counted, 100 by default.
    #[schema(minimum = 1, maximum = 10000)]
    facet_depth: Option<usize>,
    /// Whether hits carry their text, true by default.
    text: Option<bool>,
    /// Whether hits carry their metadata, true by default.
    metadata: Option<bool>,
    /// Characters of the best part of the text that hits carry.
    snippet: Option<usize>,
    /// Whether hits carry an explanation: true, or `words` for one without the similarities, which are most of it.
    explain: ExplainInput,
    /// Cursor of the page before; all else is as it was there.
    cursor: Option<String>,
    /// Generation that the answer must have, at least.
    wait_for_generation: Option<u32>,
    /// Longest time in milliseconds.
    timeout_ms: Option<u64>,
}

/// Answer of a search.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SearchResponse {
    /// Generation that answered.
    generation: u32,
    /// Hits, best first.
    #[schema(value_type = Vec<Object>)]
    hits: Vec<selvedge::Hit>,
    /// Counts of the facets.
    #[schema(value_type = Vec<Object>)]
    facets: Vec<selvedge::Facet>,
    /// Number of passages scored with their residuals.
    num_scored: usize,
    /// Cursor of the next page; null after the last one.
    cursor: Option<String>,
    /// Time of each stage in microseconds.
    #[schema(value_type = Object)]
    times_us: Value,
}

/// A search that is ready to run on its generation.
struct Prepared {
    open: Arc<Open>,
    snapshot: Arc<Snapshot>,
    query: Vec<f32>,
    text: Option<String>,
    options: SearchOptions,
    /// Whether explanations are without similarities.
    words_only: bool,
    /// Passages of the pages before.
    returned: Vec<u32>,
}

/// Times of a request, without the stages of the search.
#[derive(Default)]
struct Times {
    encode: Duration,
    rank: Duration,
    output: Duration,
}

/// Searches an index.
#[utoipa::path(
    post, path = "/v1/indexes/{name}/search", tag = "search", request_body = SearchRequest,
    params(("name" = String, Path, description = "Name of the index")),
    responses((status = 200, body = SearchResponse), (status = "4XX", body = crate::error::ErrorBody),
        (status = "5XX", body = crate::error::ErrorBody))
)]
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<SearchRequest>,
) -> Result<axum::Json<SearchResponse>> {
    let started = Instant::now();
    let deadline = started + app.config.timeout(request.timeout_ms);
    let answer = async {
        let mut times = Times::default();
        let prepared = Arc::new(prepare(&app, &name, request, deadline, &mut times).await?);
        let k = prepared.options.k + prepared.returned.len();
        let ranking = rank(&app, &prepared, SearchOptions { k, ..prepared.options.clone() });
        let mut ranking = ranking.instrument(trace::stage("search")).await?;
        // The search was deeper than for the page before, so that passages may be before those that were returned.
        let seen: HashSet<u32> = prepared.returned.iter().copied().collect();
        ranking.hits.retain(|hit| !seen.contains(&hit.pid));
        page(&app, &prepared, ranking, started, times).instrument(trace::stage("output")).await
    };
    match tokio::time::timeout_at(deadline.into(), answer).await {
        Ok(answer) => answer.map(axum::Json),
        Err(_) => Err(ApiError::timed_out()),
    }
}

/// Encodes the query, and reads the options.
async fn prepare(
    app: &App,
    name: &str,
    request: SearchRequest,
    deadline: Instant,
    times: &mut Times,
) -> Result<Prepared> {
    let served = app.index(name)?;
    let cursor = request.cursor.as_deref().map(Cursor::from_text).transpose()?;
    let snapshot = loop {
        match (&cursor, served.snapshot(request.wait_for_generation)?) {
            (Some(cursor), _) => break served.generation(cursor.generation)?,
            (None, Some(snapshot)) => break snapshot,
            (None, None) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    };
    let returned = cursor.map(|cursor| cursor.returned).unwrap_or_default();
    if returned.len() >= MOST_PAGED {
        return Err(ApiError::bad_request(format!("a cursor returns at most {MOST_PAGED} hits")));
    }
    let open = served.open()?;
    let options = options(&request)?;
    let started = Instant::now();
    let query = query(&open, request.query.as_deref(), request.embeddings, options.rank_by, deadline).await?;
    times.encode = started.elapsed();
    let words_only = matches!(request.explain, ExplainInput::Part(_));
    Ok(Prepared { open, snapshot, query, text: request.query, options, words_only, returned })
}

/// Embeddings of a query that was given as text, as embeddings, or both.
pub(crate) async fn query(
    open: &Open,
    text: Option<&str>,
    embeddings: Option<EmbeddingsInput>,
    rank_by: RankBy,
    deadline: Instant,
) -> Result<Vec<f32>> {
    match (embeddings, text) {
        (Some(embeddings), _) => {
            let (rows, dim) = embeddings.rows()?;
            changes::check_dim(&open.engine, dim)?;
            Ok(rows)
        }
        (None, Some(_)) if rank_by == RankBy::Lexical => Ok(Vec::new()),
        (None, Some(text)) => {
            let model = open.model.as_ref().ok_or(selvedge::Error::NoEncoder)?;
            model.encode(text.to_owned(), TextKind::Query, deadline).instrument(trace::stage("encode")).await
        }
        (None, None) => Err(ApiError::bad_request("give a query, or embeddings")),
    }
}

fn options(request: &SearchRequest) -> Result<SearchOptions> {
    // An explanation takes hundreds of times the memory of a hit.
    let is_explained = request.explain != ExplainInput::Full(false);
    let limit = |name: &str| if name == "k" && is_explained { MOST_EXPLAINED } else { MOST_HITS };
    let most = |name: &str, value: Option<usize>, default: usize| match value.unwrap_or(default) {
        found if found > limit(name) => {
            Err(ApiError::bad_request(format!("{name} is {found}; at most {} in this search", limit(name))))
        }
        found => Ok(found),
    };
    let rank_by = match request.mode {
        SearchMode::Maxsim => RankBy::MaxSim,
        SearchMode::Lexical => RankBy::Lexical,
        SearchMode::LexicalFirst => RankBy::LexicalFirst(most("lexical_first", request.lexical_first, 100)?),
        SearchMode::Hybrid => RankBy::Hybrid(request.alpha.map_or(Fusion::ReciprocalRank, Fusion::Weighted)),
    };
    Ok(SearchOptions {
        k: most("k", request.k, 10)?,
        rank_by,
        exact: request.exact,
        nprobe: request.nprobe,
        ndocs: request.ndocs,
        num_rescored: request.num_rescored,
        filter: request.filter.clone().filter(|value| !value.is_null()).map(filter).transpose()?.map(Arc::new),
        ids: request.ids.clone().map(Arc::from),
        facets: request.facets.clone(),
        facet_depth: most("facet_depth", request.facet_depth, 100)?,
        text: request.text.unwrap_or(true),
        metadata: request.metadata.unwrap_or(true),
        snippet: request.snippet,
        explain: is_explained,
    })
}

/// Ranks passages: by embeddings alone through the queue of the index, else on a thread of reads.
async fn rank(app: &App, prepared: &Arc<Prepared>, options: SearchOptions) -> Result<Ranking> {
    if options.rank_by != RankBy::MaxSim {
        let prepared = Arc::clone(prepared);
        return Ok(app.reads.run(move || prepared.snapshot.rank(prepared.hit_query(), &options)).await??);
    }
    options.check()?;
    let set = match options.filter.is_some() || options.ids.is_some() {
        // A filter that is new reads columns, which takes a while.
        true => {
            let (prepared, options) = (Arc::clone(prepared), options.clone());
            app.reads.run(move || prepared.snapshot.passages(&options)).await??
        }
        false => None,
    };
    let searcher = prepared.snapshot.shared_searcher();
    let params = options.params(&*searcher, set.as_deref());
    Ok(prepared.open.queue.search_on(searcher, prepared.query.clone(), params, set).await?)
}

/// Reads what the hits carry, and makes a cursor if there may be more.
async fn page(
    app: &App,
    prepared: &Arc<Prepared>,
    ranking: Ranking,
    started: Instant,
    times: Times,
) -> Result<SearchResponse> {
    let (ranked, output_began) = (started.elapsed(), Instant::now());
    let of_output = Arc::clone(prepared);
    let stages = ranking.stages_us;
    let output: SearchOutput = app.reads.run(move || of_output.output(ranking)).await??;
    let (times, k) = (Times { output: output_began.elapsed(), rank: ranked, ..times }, prepared.options.k);
    let generation = prepared.snapshot.generation();
    let returned = prepared.returned.iter().copied().chain(output.hits.iter().map(|hit| hit.pid));
    let may_go_on = output.hits.len() == k && prepared.returned.len() + k < MOST_PAGED;
    let cursor = may_go_on.then(|| Cursor { generation, returned: returned.collect() }.to_text());
    metrics::histogram!("selvedge_search_seconds").record(started.elapsed().as_secs_f64());
    Ok(SearchResponse {
        generation,
        hits: output.hits,
        facets: output.facets,
        num_scored: output.num_scored,
        cursor,
        times_us: times.json(stages, started.elapsed()),
    })
}

impl Prepared {
    fn hit_query(&self) -> HitQuery<'_> {
        HitQuery { embeddings: &self.query, text: self.text.as_deref() }
    }

    fn output(&self, ranking: Ranking) -> selvedge::Result<SearchOutput> {
        let mut output = self.open.engine.output(&self.snapshot, self.hit_query(), ranking, &self.options)?;
        if self.words_only {
            output.hits.iter_mut().flat_map(|hit| &mut hit.explanation).for_each(|why| why.similarities.clear());
        }
        Ok(output)
    }
}

impl Times {
    /// All times of a request; `queue` is the time between the stages.
    fn json(&self, stages: StageTimes, total: Duration) -> Value {
        let us = |time: Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
        let queue = us(self.rank.saturating_sub(self.encode)) - stages.total();
        let mut times = json!(stages);
        times["encode"] = json!(us(self.encode));
        times["queue"] = json!((queue.max(0.0) * 10.0).round() / 10.0);
        times["output"] = json!(us(self.output));
        times["total"] = json!(us(total));
        times
    }
}
