//! Routes of a shard, which a router asks: statistics of words, ranking, output.
//!
//! The answer of each names the version of the index that it is of. A router sends the version with the next phase, and
//! gets 410 (`VERSION_GONE`) once it is not kept any more: then it begins again.

use super::wire::{
    OutputRequest, OutputResponse, RankRequest, RankResponse, StatisticsRequest, StatisticsResponse, decoded_hits,
};
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::encode::written;
use crate::routes::input::{Json, Path};
use crate::routes::search::{self, Prepared};
use crate::routes::search_bodies::{ExplainInput, SearchRequest, bytes_of};
use crate::state::App;
use crate::work::within;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use selvedge::shards::{ShardOutput, ShardRanking};
use selvedge::{RankBy, Statistics};
use std::sync::Arc;
use std::time::Instant;

/// Statistics of the words of a query, which a router sums up over the shards of a collection.
#[utoipa::path(
    post, path = "/v1/indexes/{name}/shard/statistics", tag = "shards", request_body = StatisticsRequest,
    params(("name" = String, Path, description = "Name of the index")),
    responses((status = 200, body = StatisticsResponse), (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody))
)]
pub(crate) async fn statistics(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<StatisticsRequest>,
) -> Result<axum::Json<StatisticsResponse>> {
    let snapshot = app.index(&name)?.snapshot(None).await?;
    let work = move || {
        let statistics = snapshot.statistics(&request.query)?;
        Ok(StatisticsResponse { version: snapshot.version().to_owned(), statistics })
    };
    app.reads.run(work).await?.map(axum::Json)
}

/// Passages of this index that may be among the best of a collection of which it is a shard.
#[utoipa::path(
    post, path = "/v1/indexes/{name}/shard/rank", tag = "shards", request_body = RankRequest,
    params(("name" = String, Path, description = "Name of the index")),
    responses((status = 200, body = RankResponse), (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody))
)]
pub(crate) async fn rank(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<RankRequest>,
) -> Result<axum::Json<RankResponse>> {
    let RankRequest { search, statistics, version, with_ids } = request;
    let deadline = Instant::now() + app.config.timeout(search.timeout_ms);
    within(deadline, async {
        let prepared = Arc::new(prepare(&app, &name, search, version.as_deref(), deadline).await?);
        let ranking = ranking(&app, &prepared, statistics).await?;
        let of_answer = Arc::clone(&prepared);
        let answer = move || {
            let index = of_answer.snapshot.index();
            let found = ranking.found.iter().take(if with_ids { usize::MAX } else { 0 });
            let ids = found.map(|found| index.id(found.pid)).collect::<selvedge::Result<_, _>>();
            let ids = ids.map_err(selvedge::Error::from)?;
            Ok(RankResponse::new(of_answer.snapshot.version(), ranking, ids, of_answer.unknown_keys()))
        };
        app.reads.run(answer).await?.map(axum::Json)
    })
    .await
}

/// Ids, texts and whatever else the answer of a router needs of the hits of this shard.
#[utoipa::path(
    post, path = "/v1/indexes/{name}/shard/output", tag = "shards", request_body = OutputRequest,
    params(("name" = String, Path, description = "Name of the index")),
    responses((status = 200, body = OutputResponse), (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody))
)]
pub(crate) async fn output(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<OutputRequest>,
) -> Result<Response> {
    let OutputRequest { search, version, hits, counted } = request;
    let deadline = Instant::now() + app.config.timeout(search.timeout_ms);
    within(deadline, async {
        let hits = decoded_hits(&hits)?;
        let prepared = prepare(&app, &name, search, Some(&version), deadline).await?;
        let answer = app.reads.run(move || output_of(&prepared, &hits, &counted)).await??;
        let bytes: usize = answer.hits.iter().map(bytes_of).sum();
        if bytes > app.config.max_body {
            let message = format!("the hits take {bytes} bytes; ask for fewer, or for a snippet without text");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "ANSWER_TOO_LARGE", message));
        }
        written(&app, answer).await
    })
    .await
}

fn output_of(prepared: &Prepared, hits: &[(u32, f32)], counted: &[u32]) -> Result<OutputResponse> {
    let count = prepared.snapshot.index().num_pids();
    if let Some(pid) = hits.iter().map(|(pid, _)| pid).chain(counted).find(|&&pid| pid >= count) {
        return Err(ApiError::bad_request(format!("there is no passage {pid}: version has {count}")));
    }
    let (engine, query) = (&prepared.open.engine, prepared.hit_query());
    let ShardOutput { mut hits, facets } =
        engine.shard_output(&prepared.snapshot, query, hits, counted, &prepared.options)?;
    if prepared.words_only {
        hits.iter_mut().flat_map(|hit| &mut hit.explanation).for_each(|why| why.similarities.clear());
    }
    Ok(OutputResponse { hits, facets })
}

/// Reads a router's search, which is of a version of the index and has no cursor.
async fn prepare(
    app: &App,
    name: &str,
    request: SearchRequest,
    version: Option<&str>,
    deadline: Instant,
) -> Result<Prepared> {
    if request.cursor.is_some() || request.wait_for_generation.is_some() {
        return Err(ApiError::bad_request("a shard takes no cursor and awaits no generation"));
    }
    let served = app.index(name)?;
    let snapshot = match version {
        Some(version) => served.generations().version(version)?,
        None => served.snapshot(None).await?,
    };
    let (open, options) = (served.open()?, search::options(&request)?);
    let query = search::query(&open, request.query.as_deref(), request.embeddings, options.rank_by, deadline).await?;
    let words_only = matches!(request.explain, ExplainInput::Part(_));
    Ok(Prepared { served, open, snapshot, query, text: request.query, options, words_only, returned: Vec::new() })
}

/// Ranks the passages of a shard: by embeddings alone through the queue of the index, as any search.
async fn ranking(app: &App, prepared: &Arc<Prepared>, statistics: Option<Statistics>) -> Result<ShardRanking> {
    if prepared.options.rank_by == RankBy::MaxSim {
        let ranking = search::rank(app, prepared, prepared.options.clone()).await?;
        return Ok(ShardRanking::of_maxsim(&prepared.snapshot, ranking));
    }
    match statistics.as_ref().map(Statistics::check) {
        None => return Err(ApiError::bad_request("a search by words needs the statistics of all shards")),
        Some(Err(error)) => return Err(ApiError::bad_request(error.to_string())),
        Some(Ok(())) => {}
    }
    let of_work = Arc::clone(prepared);
    let work = move || {
        let query = of_work.hit_query();
        of_work.snapshot.shard_ranking(query, &of_work.options, statistics.as_ref())
    };
    Ok(app.reads.run(work).await??)
}
