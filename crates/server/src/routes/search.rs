//! Search.

use super::encode::written;
use super::input::{EmbeddingsInput, Json, Path, filter};
use super::search_bodies::{ExplainInput, SearchMode, SearchRequest, SearchResponse, bytes_of};
use crate::changes;
use crate::cursor::Cursor;
use crate::error::{ApiError, Result};
use crate::served::{Open, Served};
use crate::state::App;
use crate::trace;
use crate::work::within;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use selvedge::{Fusion, HitQuery, RankBy, Ranking, SearchOptions, SearchOutput, Snapshot, StageTimes, TextKind};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Most hits of a page, and most passages that are counted.
const MOST_HITS: usize = 10_000;
/// Most hits of a page that are explained.
const MOST_EXPLAINED: usize = 100;
/// Most keys whose values are counted.
const MOST_FACETS: usize = 64;
/// Most characters of a snippet.
const LONGEST_SNIPPET: usize = 10_000;
/// Most ids that a search is restricted to.
const MOST_IDS: usize = 200_000;
/// Bytes of an answer that are written on the async threads.
const QUICK_BYTES: usize = 64 << 10;
/// Most hits of all pages of a cursor.
const MOST_PAGED: usize = 10_000;

/// A search that is ready to run on its generation.
pub(crate) struct Prepared {
    pub(crate) served: Arc<Served>,
    pub(crate) open: Arc<Open>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) query: Vec<f32>,
    pub(crate) text: Option<String>,
    pub(crate) options: SearchOptions,
    /// Whether explanations are without similarities.
    pub(crate) words_only: bool,
    /// Passages of the pages before.
    pub(crate) returned: Vec<u32>,
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
) -> Result<Response> {
    let answer = answer(&app, &name, request).await?;
    match answer.bytes {
        ..=QUICK_BYTES => Ok(axum::Json(answer).into_response()),
        _ => written(&app, answer).await,
    }
}

/// Answers a search within its time.
pub(crate) async fn answer(app: &App, name: &str, request: SearchRequest) -> Result<SearchResponse> {
    let started = Instant::now();
    let deadline = started + app.config.timeout(request.timeout_ms);
    within(deadline, async {
        let mut times = Times::default();
        let prepared = Arc::new(prepare(app, name, request, deadline, &mut times).await?);
        let k = prepared.options.k + prepared.returned.len();
        let ranking = rank(app, &prepared, SearchOptions { k, ..prepared.options.clone() });
        let mut ranking = ranking.instrument(trace::stage("search")).await?;
        // The search was deeper than for the page before, so that passages may be before those that were returned.
        let seen: HashSet<u32> = prepared.returned.iter().copied().collect();
        ranking.hits.retain(|hit| !seen.contains(&hit.pid));
        page(app, &prepared, ranking, started, times).instrument(trace::stage("output")).await
    })
    .await
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
    let snapshot = match &cursor {
        Some(cursor) => served.generations().get(cursor)?,
        None => served.snapshot(request.wait_for_generation).await?,
    };
    let returned = cursor.map(|cursor| cursor.returned).unwrap_or_default();
    if returned.len() >= MOST_PAGED {
        return Err(ApiError::bad_request(format!("a cursor returns at most {MOST_PAGED} hits")));
    }
    let open = served.open()?;
    let mut options = options(&request)?;
    if !returned.is_empty() {
        // They came with the first page: this one's passages are not the best.
        options.facets.clear();
    }
    let started = Instant::now();
    let query = query(&open, request.query.as_deref(), request.embeddings, options.rank_by, deadline).await?;
    times.encode = started.elapsed();
    let words_only = matches!(request.explain, ExplainInput::Part(_));
    Ok(Prepared { served, open, snapshot, query, text: request.query, options, words_only, returned })
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

/// Options of a search.
pub(crate) fn options(request: &SearchRequest) -> Result<SearchOptions> {
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
    let (facets, ids) = (request.facets.len(), request.ids.as_ref().map_or(0, Vec::len));
    if let Some(snippet) = request.snippet.filter(|&snippet| snippet > LONGEST_SNIPPET) {
        return Err(ApiError::bad_request(format!("snippet is {snippet}; at most {LONGEST_SNIPPET}")));
    }
    if facets > MOST_FACETS || ids > MOST_IDS {
        let message = format!("{facets} facets and {ids} ids; at most {MOST_FACETS} and {MOST_IDS}");
        return Err(ApiError::bad_request(message));
    }
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
pub(crate) async fn rank(app: &App, prepared: &Arc<Prepared>, options: SearchOptions) -> Result<Ranking> {
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
    let bytes: usize = output.hits.iter().map(bytes_of).sum();
    if bytes > app.config.max_body {
        let message = format!("the hits take {bytes} bytes; ask for fewer, or for a snippet without text and metadata");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "ANSWER_TOO_LARGE", message));
    }
    let (times, k) = (Times { output: output_began.elapsed(), rank: ranked, ..times }, prepared.options.k);
    let generation = prepared.snapshot.generation();
    let returned = prepared.returned.iter().copied().chain(output.hits.iter().map(|hit| hit.pid));
    let may_go_on = output.hits.len() == k && prepared.returned.len() + k < MOST_PAGED;
    let generations = prepared.served.generations();
    let cursor = may_go_on.then(|| generations.cursor(generation, returned.collect()).to_text());
    let times_us = times.json(stages, started.elapsed());
    // Stages that a search did not have took no time.
    let stages = times_us.as_object().into_iter().flatten().map(|(stage, us)| (stage, us.as_f64().unwrap_or_default()));
    for (stage, us) in stages.filter(|(_, us)| *us > 0.0) {
        let seconds = us / 1e6;
        metrics::histogram!("selvedge_search_seconds", "stage" => stage.clone()).record(seconds);
    }
    Ok(SearchResponse {
        generation,
        hits: output.hits,
        facets: output.facets,
        warnings: warnings(&prepared.unknown_keys()),
        num_scored: output.num_scored,
        cursor,
        times_us,
        bytes,
    })
}

/// Warnings of keys of a filter that no passage has.
pub(crate) fn warnings(unknown: &BTreeSet<String>) -> Vec<String> {
    unknown.iter().map(|key| format!("no passage has the key {key:?}, which the filter names")).collect()
}

impl Prepared {
    /// Keys of the filter that no passage has: it may be misspelled.
    pub(crate) fn unknown_keys(&self) -> BTreeSet<String> {
        let keys = self.options.filter.iter().flat_map(|filter| filter.keys()).map(|(key, _)| key);
        let segments = self.snapshot.index().segments();
        let columns = || segments.iter().filter_map(|segment| segment.columns.as_ref());
        let is_known = |key: &str| columns().any(|columns| columns.infos().any(|info| info.key == key));
        keys.filter(|key| !is_known(key)).map(str::to_owned).collect()
    }

    pub(crate) fn hit_query(&self) -> HitQuery<'_> {
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
