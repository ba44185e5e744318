//! Search: by embeddings or texts, by words, by both; among all documents, a subset, or the matches of a condition.

use super::input::PlaidQuery;
use super::numbers;
use super::{condition, model, open};
use crate::compat::within;
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::input::{Json, Path};
use crate::served::Open;
use crate::state::App;
use crate::trace;
use axum::extract::State;
use futures_util::future::try_join_all;
use selvedge::{Fusion, HitQuery, PassageSet, RankBy, Ranking, SearchOptions, Snapshot, TextKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Most results of a query.
const MOST_RESULTS: usize = 10_000;
/// Most queries of a request that are searched at a time: the queue of the index is for others, too.
const QUERIES_AT_A_TIME: usize = 64;
/// Number of passages that are scored in full, unless a request names another.
const FULL_SCORES: usize = 4096;

/// A search.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidSearchRequest {
    /// Queries, as embeddings or texts.
    #[serde(default)]
    queries: Option<Vec<PlaidQuery>>,
    /// Words to find, one text per query: without queries alone, with queries fused with them.
    #[serde(default)]
    text_query: Option<Words>,
    /// Numbers of results and candidates.
    #[serde(default)]
    params: PlaidSearchParams,
    /// Documents that may be found.
    #[serde(default)]
    subset: Option<Vec<i64>>,
    /// Condition on the metadata, with `?` for parameters.
    #[serde(default)]
    filter_condition: Option<String>,
    /// Values of the `?`, in order.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    filter_parameters: Option<Vec<Value>>,
    /// Weight of the embeddings beside the words, 0.75 by default.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    alpha: Option<f32>,
    /// `relative_score`, the default, or `rrf`.
    #[serde(default)]
    fusion: Option<PlaidFusion>,
}

/// Numbers of results and candidates.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub(super) struct PlaidSearchParams {
    /// Results per query, 10 by default.
    top_k: Option<usize>,
    /// Cells probed per query token.
    n_ivf_probe: Option<usize>,
    /// Candidates; with no more passages than these, all are scored.
    n_full_scores: Option<usize>,
}

/// How words and embeddings are fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum PlaidFusion {
    /// Weighted sum of normalized scores.
    RelativeScore,
    /// Sum of reciprocal ranks.
    Rrf,
}

/// One text or several.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
enum Words {
    /// One text.
    One(String),
    /// A text per query.
    Several(Vec<String>),
}

/// Results of all queries.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidSearchResponse {
    /// Results of each query.
    results: Vec<PlaidResults>,
    /// Number of queries.
    num_queries: usize,
}

/// Results of a query, best first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlaidResults {
    /// Place of the query in the request.
    query_id: usize,
    /// Numbers of the documents.
    document_ids: Vec<i64>,
    /// Their scores.
    scores: Vec<f32>,
    /// Their metadata; null where a document has none.
    #[schema(value_type = Vec<Object>)]
    metadata: Vec<Option<Value>>,
}

/// Searches by embeddings, by words, or by both.
#[utoipa::path(post, path = "/indices/{name}/search", tag = "next-plaid", request_body = PlaidSearchRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidSearchResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn search_index(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidSearchRequest>,
) -> Result<axum::Json<PlaidSearchResponse>> {
    answer(&app, &name, request).await
}

/// Searches among the documents of a condition.
#[utoipa::path(post, path = "/indices/{name}/search/filtered", tag = "next-plaid", request_body = PlaidSearchRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidSearchResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn search_filtered(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidSearchRequest>,
) -> Result<axum::Json<PlaidSearchResponse>> {
    answer(&app, &name, request.with_condition()?).await
}

/// Searches by texts.
#[utoipa::path(post, path = "/indices/{name}/search_with_encoding", tag = "next-plaid",
    request_body = PlaidSearchRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidSearchResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn search_with_encoding(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidSearchRequest>,
) -> Result<axum::Json<PlaidSearchResponse>> {
    answer(&app, &name, request).await
}

/// Searches by texts among the documents of a condition.
#[utoipa::path(post, path = "/indices/{name}/search/filtered_with_encoding", tag = "next-plaid",
    request_body = PlaidSearchRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidSearchResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn search_filtered_with_encoding(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidSearchRequest>,
) -> Result<axum::Json<PlaidSearchResponse>> {
    answer(&app, &name, request.with_condition()?).await
}

/// A query that is ready to be searched.
struct Ready {
    embeddings: Vec<f32>,
    words: Option<String>,
}

/// A search that is ready to run on its generation.
struct Prepared {
    open: Arc<Open>,
    snapshot: Arc<Snapshot>,
    set: Option<Arc<PassageSet>>,
    options: SearchOptions,
}

async fn answer(app: &Arc<App>, name: &str, request: PlaidSearchRequest) -> Result<axum::Json<PlaidSearchResponse>> {
    let deadline = Instant::now() + app.config.timeout(None);
    within(deadline, search(app, name, request, deadline)).await.map(axum::Json)
}

async fn search(
    app: &Arc<App>,
    name: &str,
    mut request: PlaidSearchRequest,
    deadline: Instant,
) -> Result<PlaidSearchResponse> {
    let open = open(app, name)?;
    let queries = request.queries.take().filter(|queries| !queries.is_empty());
    let words = match request.text_query.take() {
        None => Vec::new(),
        Some(Words::One(text)) => vec![text],
        Some(Words::Several(texts)) => texts,
    };
    let rank_by = request.rank_by(queries.is_some(), !words.is_empty())?;
    if let (RankBy::Hybrid(_), Some(queries)) = (rank_by, &queries)
        && queries.len() != words.len()
    {
        let message = format!("{} queries, and {} texts in text_query", queries.len(), words.len());
        return Err(ApiError::bad_request(message));
    }
    let prepared = Arc::new(prepare(app, open, request, rank_by).await?);
    let ready = ready(app, &prepared.open, queries.unwrap_or_default(), words, deadline);
    let ready = ready.instrument(trace::stage("encode")).await?;
    let num_queries = ready.len();
    let mut results = Vec::with_capacity(num_queries);
    let mut ready = ready.into_iter().enumerate().peekable();
    while ready.peek().is_some() {
        let some = ready.by_ref().take(QUERIES_AT_A_TIME);
        let all = try_join_all(some.map(|(at, query)| one(app, &prepared, at, query)));
        results.extend(all.instrument(trace::stage("search")).await?);
    }
    Ok(PlaidSearchResponse { results, num_queries })
}

impl PlaidSearchRequest {
    /// Checks that there is a condition, as the paths for it ask.
    fn with_condition(self) -> Result<Self> {
        match self.filter_condition {
            Some(_) => Ok(self),
            None => Err(ApiError::bad_request("give filter_condition")),
        }
    }

    /// The score to rank by.
    fn rank_by(&self, has_queries: bool, has_words: bool) -> Result<RankBy> {
        let alpha = self.alpha.unwrap_or(0.75);
        if !(0.0..=1.0).contains(&alpha) {
            return Err(ApiError::bad_request(format!("alpha is {alpha}; expected 0 to 1")));
        }
        match (has_queries, has_words, self.fusion.unwrap_or(PlaidFusion::RelativeScore)) {
            (false, false, _) => Err(ApiError::bad_request("give queries, or text_query")),
            (true, false, _) => Ok(RankBy::MaxSim),
            (false, true, _) => Ok(RankBy::Lexical),
            (true, true, PlaidFusion::RelativeScore) => Ok(RankBy::Hybrid(Fusion::Weighted(alpha))),
            (true, true, PlaidFusion::Rrf) => Ok(RankBy::Hybrid(Fusion::ReciprocalRank)),
        }
    }
}

/// Finds the passages that a search may find, and chooses its parameters.
async fn prepare(app: &App, open: Arc<Open>, request: PlaidSearchRequest, rank_by: RankBy) -> Result<Prepared> {
    let filter = match &request.filter_condition {
        None => None,
        Some(text) => {
            Some(Arc::new(condition::filter(text, request.filter_parameters.as_deref().unwrap_or_default())?))
        }
    };
    let PlaidSearchParams { top_k, n_ivf_probe, n_full_scores } = request.params;
    let k = top_k.unwrap_or(10);
    if k > MOST_RESULTS {
        return Err(ApiError::bad_request(format!("top_k is {k}; at most {MOST_RESULTS}")));
    }
    let options = SearchOptions {
        k,
        rank_by,
        nprobe: n_ivf_probe,
        ndocs: n_full_scores,
        filter,
        metadata: true,
        text: false,
        ..SearchOptions::default()
    };
    options.check()?;
    let subset = request.subset;
    let prepare = move || {
        let snapshot = open.engine.snapshot();
        let ids = subset.map(|numbers| numbers::ids(snapshot.index(), &numbers)).transpose()?;
        let options = SearchOptions { ids: ids.map(Arc::from), ..options };
        let set = snapshot.passages(&options)?;
        let passages = set.as_ref().map_or(snapshot.index().num_passages() as usize, |set| set.len());
        let exact = passages <= n_full_scores.unwrap_or(FULL_SCORES);
        Ok::<_, ApiError>(Prepared { open, snapshot, set, options: SearchOptions { exact, ..options } })
    };
    app.reads.run(prepare).await?
}

/// Encodes the queries that are texts, and pairs all with their words.
async fn ready(
    app: &Arc<App>,
    open: &Open,
    queries: Vec<PlaidQuery>,
    words: Vec<String>,
    deadline: Instant,
) -> Result<Vec<Ready>> {
    if queries.is_empty() {
        return Ok(words.into_iter().map(|words| Ready { embeddings: Vec::new(), words: Some(words) }).collect());
    }
    let mut ready = Vec::with_capacity(queries.len());
    let mut words = words.into_iter();
    let mut encoder = None;
    for query in queries {
        let embeddings = match query {
            PlaidQuery::Embeddings(embeddings) => {
                let (rows, dim) = embeddings.rows()?;
                super::check_dim(open, dim)?;
                rows
            }
            PlaidQuery::Text(text) => {
                if encoder.is_none() {
                    encoder = Some(model(app, open).await?);
                }
                let Some(model) = &encoder else { return Err(selvedge::Error::NoEncoder.into()) };
                model.encode(text, TextKind::Query, deadline).await?
            }
        };
        ready.push(Ready { embeddings, words: words.next() });
    }
    Ok(ready)
}

/// Searches one query: by embeddings alone through the queue of the index, else on a thread of reads.
async fn one(app: &App, prepared: &Arc<Prepared>, query_id: usize, query: Ready) -> Result<PlaidResults> {
    let of_rank = Arc::clone(prepared);
    let ranking = match prepared.options.rank_by {
        RankBy::MaxSim => {
            let searcher = prepared.snapshot.shared_searcher();
            let params = prepared.options.params(&*searcher, prepared.set.as_deref());
            prepared.open.queue.search_on(searcher, query.embeddings, params, prepared.set.clone()).await?
        }
        _ => app.reads.run(move || of_rank.rank(&query)).await??,
    };
    let of_output = Arc::clone(prepared);
    app.reads.run(move || of_output.results(query_id, ranking)).await?
}

impl Prepared {
    fn rank(&self, query: &Ready) -> Result<Ranking> {
        let query = HitQuery { embeddings: &query.embeddings, text: query.words.as_deref() };
        Ok(self.snapshot.rank(query, &self.options)?)
    }

    /// Numbers, scores and metadata of what was found.
    fn results(&self, query_id: usize, ranking: Ranking) -> Result<PlaidResults> {
        let output = self.open.engine.output(&self.snapshot, HitQuery::default(), ranking, &self.options)?;
        let mut results = PlaidResults { query_id, document_ids: Vec::new(), scores: Vec::new(), metadata: Vec::new() };
        for hit in output.hits {
            let number = numbers::number(&hit.id, hit.pid);
            results.document_ids.push(number);
            results.scores.push(hit.score);
            results.metadata.push(hit.metadata.map(|metadata| with_number(metadata, number)));
        }
        Ok(results)
    }
}

/// Metadata with the number of its document, which next-plaid calls `_subset_`.
pub(super) fn with_number(mut metadata: Value, number: i64) -> Value {
    if let Value::Object(fields) = &mut metadata {
        fields.insert("_subset_".into(), json!(number));
    }
    metadata
}
