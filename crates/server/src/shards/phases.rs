//! A search of all shards: encode, statistics, rank, output, one fan-out each.
//!
//! All phases of a query see one version of each shard. A shard whose version is gone makes the search begin again,
//! once. A shard that fails in any phase is left out of the whole answer, if the client allows that.

use super::call::{Answered, Caller, Collection, Phase, Shard};
use super::error::{CallError, FailedShard, Result, RouterError, shards_failed};
use super::wire::{OutputParts, RankResponse, StatisticsRequest, StatisticsResponse, encoded_hits};
use crate::error::ApiError;
use crate::routes::input::{Json, encoded};
use crate::routes::search::{options, warnings};
use crate::routes::search_bodies::{ExplainInput, SearchRequest};
use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use selvedge::shards::{ShardHit, ShardRanking, ShardsError, merge, sum_facets};
use selvedge::{Facet, SearchOptions, Statistics};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Field of a request that only routers know.
const PARTIAL: &str = "partial";

/// Answer of a search of all shards.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RouterResponse {
    /// The largest generation of a shard that answered; `shards` has all of them.
    generation: u32,
    /// Hits, best first.
    #[schema(value_type = Vec<Object>)]
    hits: Vec<Box<RawValue>>,
    /// Counts of the facets.
    #[schema(value_type = Vec<Object>)]
    facets: Vec<Facet>,
    /// Mistakes that a search may have: keys of the filter that no passage has.
    warnings: Vec<String>,
    /// Number of passages scored with their residuals, in all shards.
    num_scored: usize,
    /// Always null: a router has no pages.
    cursor: Option<String>,
    /// Time of each phase in microseconds.
    #[schema(value_type = Object)]
    times_us: Value,
    /// Shards that answered and shards that did not.
    shards: ShardsAnswered,
}

/// Shards that answered and shards that did not.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ShardsAnswered {
    /// Number of shards of the collection.
    total: usize,
    /// Number of shards that the answer is of.
    ok: usize,
    /// The others, with the reason of each.
    failed: Vec<FailedShard>,
    /// Generation of each shard; null for one that failed.
    generations: Vec<Option<u32>>,
}

/// A search that was read and checked.
pub(crate) struct Query {
    /// The fields of the request for a shard, as the client wrote them.
    fields: BTreeMap<String, Box<RawValue>>,
    text: Option<String>,
    options: SearchOptions,
    /// Whether the hits need more than their ids.
    needs_output: bool,
    allows_partial: bool,
    deadline: Instant,
}

/// Body of the phase rank.
#[derive(Serialize)]
struct RankCall<'a> {
    search: &'a BTreeMap<String, Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<&'a Statistics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    with_ids: bool,
}

/// Body of the phase output.
#[derive(Serialize)]
struct OutputCall<'a> {
    search: &'a BTreeMap<String, Box<RawValue>>,
    version: &'a str,
    hits: String,
    counted: Vec<u32>,
}

/// What a shard has answered so far in a query.
#[derive(Default)]
struct Part {
    /// Version of all phases, and the replica that has it.
    version: Option<String>,
    replica: Option<usize>,
    ranking: Option<RankResponse>,
    failed: Option<String>,
}

/// End of an attempt that did not succeed.
enum Stop {
    /// The version of this shard is gone.
    Gone(usize),
    Error(RouterError),
}

impl From<RouterError> for Stop {
    fn from(error: RouterError) -> Self {
        Self::Error(error)
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Error(error.into())
    }
}

/// Reads a search. Fields go on as the client wrote them: a number that is read and written may not stay the same.
pub(crate) fn read(body: &[u8], timeout: impl Fn(Option<u64>) -> Duration) -> Result<Query> {
    let started = Instant::now();
    let Json(mut fields) = Json::<BTreeMap<String, Box<RawValue>>>::from_bytes(body)?;
    let allows_partial = match fields.remove(PARTIAL).as_deref().map(RawValue::get) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(ApiError::bad_request(format!("partial is {other}; expected true or false")).into()),
    };
    let Json(request) = Json::<SearchRequest>::from_bytes(&to_json(&fields)?)?;
    if request.cursor.is_some() || request.wait_for_generation.is_some() {
        let message = "a router has no cursors and awaits no generation: ask for a larger k, up to 10000";
        return Err(ApiError::bad_request(message).into());
    }
    let options = options(&request)?;
    options.check().map_err(ApiError::from)?;
    if request.query.is_none() && (request.embeddings.is_none() || options.rank_by.needs_words()) {
        return Err(ApiError::bad_request("give a query, or embeddings for a search by them alone").into());
    }
    if let Some(embeddings) = request.embeddings {
        let (rows, dim) = embeddings.rows()?;
        fields.insert("embeddings".into(), embeddings_field(&rows, dim)?);
    }
    let needs_output = options.text || options.metadata || options.snippet.is_some() || options.explain;
    let needs_output = needs_output || !options.facets.is_empty() || request.explain != ExplainInput::Full(false);
    let deadline = started + timeout(request.timeout_ms);
    Ok(Query { fields, text: request.query, options, needs_output, allows_partial, deadline })
}

impl Query {
    /// Time at which the answer must be there.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Answers a search; begins again, once, if a version of a shard is gone.
pub(crate) async fn search(caller: &Caller, collection: &Collection, mut query: Query) -> Result<RouterResponse> {
    let started = Instant::now();
    encode(caller, collection, &mut query).await?;
    let encode = started.elapsed();
    for is_last in [false, true] {
        match attempt(caller, collection, &query, started, encode).await {
            Ok(answer) => return Ok(answer),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Gone(shard)) if is_last => {
                let error = "its index changes faster than it is searched".to_owned();
                return Err(shards_failed(&[FailedShard { shard, error }], collection.shards.len()));
            }
            Err(Stop::Gone(_)) => metrics::counter!("selvedge_router_restarts_total").increment(1),
        }
    }
    unreachable!("the last attempt returns")
}

/// Encodes the text once, by the first shard that can: embeddings of different processors may differ in the last bit.
async fn encode(caller: &Caller, collection: &Collection, query: &mut Query) -> Result<()> {
    let Some(text) = &query.text else { return Ok(()) };
    if query.fields.contains_key("embeddings") || !query.options.rank_by.needs_embeddings() {
        return Ok(());
    }
    let mut failed = Vec::new();
    for shard in &collection.shards {
        let body = json!({"texts": [text], "kind": "query", "encoding": "base64", "index": shard.index});
        let call = collection.call(Method::POST, "/v1/encode".into(), to_json(&body)?);
        match caller.ask(shard, Phase::Encode, &call, None, query.deadline).await {
            Ok(answered) => {
                /// The part of the answer that is needed, as it was written.
                #[derive(Deserialize)]
                struct Encoded {
                    embeddings: [Box<RawValue>; 1],
                }
                let Encoded { embeddings: [embeddings] } = parsed(&answered)?;
                query.fields.insert("embeddings".into(), embeddings);
                return Ok(());
            }
            Err(CallError::Refused(status, body)) => return Err(RouterError::OfShard(status, body)),
            Err(error) => failed.push(FailedShard { shard: shard.number, error: text_of(error) }),
        }
    }
    Err(shards_failed(&failed, collection.shards.len()))
}

/// The phases from the statistics on.
async fn attempt(
    caller: &Caller,
    collection: &Collection,
    query: &Query,
    started: Instant,
    encode: Duration,
) -> Result<RouterResponse, Stop> {
    let mut parts: Vec<Part> = collection.shards.iter().map(|_| Part::default()).collect();
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
    let statistics = match query.options.rank_by.needs_words() {
        true => Some(statistics(caller, collection, query, &mut parts).await?),
        false => None,
    };
    let statistics_time = lap();
    rank(caller, collection, query, statistics.as_ref(), &mut parts).await?;
    let rank_time = lap();
    let (hits, facets) = output(caller, collection, query, &mut parts).await?;
    let output_time = lap();
    let us = |time: Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
    let times_us = json!({
        "encode": us(encode), "statistics": us(statistics_time), "rank": us(rank_time), "output": us(output_time),
        "total": us(started.elapsed()),
    });
    let failed = failures(&parts);
    let answered = || parts.iter().filter_map(|part| part.ranking.as_ref());
    let unknown = answered().map(|ranking| ranking.unknown_keys.clone());
    let unknown = unknown.reduce(|a, b| a.intersection(&b).cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
    Ok(RouterResponse {
        generation: answered().map(|ranking| ranking.generation).max().unwrap_or_default(),
        hits,
        facets,
        warnings: warnings(&unknown),
        num_scored: answered().map(|ranking| ranking.num_scored).sum(),
        cursor: None,
        times_us,
        shards: ShardsAnswered {
            total: parts.len(),
            ok: parts.len() - failed.len(),
            failed,
            generations: parts.iter().map(|part| part.ranking.as_ref().map(|ranking| ranking.generation)).collect(),
        },
    })
}

/// Sums the statistics of the words of a query over the shards.
async fn statistics(
    caller: &Caller,
    collection: &Collection,
    query: &Query,
    parts: &mut [Part],
) -> Result<Statistics, Stop> {
    let body = Bytes::from(to_json(&StatisticsRequest { query: query.text.clone().unwrap_or_default() })?);
    let call = |shard: &Shard, _: &Part| {
        let call = collection.call(Method::POST, shard.path("/shard/statistics"), body.clone());
        Ok(Some(call))
    };
    let mut sum = Statistics::default();
    for (shard, answered) in fan_out(caller, collection, query, Phase::Statistics, parts, call).await? {
        let StatisticsResponse { version, statistics } = parsed(&answered)?;
        parts[shard].version = Some(version);
        sum = sum.plus(&statistics);
    }
    Ok(sum)
}

/// Ranks the passages of each shard.
async fn rank(
    caller: &Caller,
    collection: &Collection,
    query: &Query,
    statistics: Option<&Statistics>,
    parts: &mut [Part],
) -> Result<(), Stop> {
    let call = |shard: &Shard, part: &Part| {
        let (search, version, with_ids) = (&query.fields, part.version.as_deref(), !query.needs_output);
        let body = to_json(&RankCall { search, statistics, version, with_ids })?;
        Ok(Some(collection.call(Method::POST, shard.path("/shard/rank"), body)))
    };
    for (shard, answered) in fan_out(caller, collection, query, Phase::Rank, parts, call).await? {
        let ranking: RankResponse = parsed(&answered)?;
        parts[shard].version = Some(ranking.version.clone());
        parts[shard].ranking = Some(ranking);
    }
    Ok(())
}

/// Merges the rankings, and reads the hits from the shards that own them. A shard that fails here has no part in the
/// ranking either: it is merged again without that shard, until all have answered.
async fn output(
    caller: &Caller,
    collection: &Collection,
    query: &Query,
    parts: &mut [Part],
) -> Result<(Vec<Box<RawValue>>, Vec<Facet>), Stop> {
    loop {
        let ranked = merged(parts, &query.options)?;
        let best = &ranked[..ranked.len().min(query.options.k)];
        if !query.needs_output {
            return Ok((hits_of_ids(parts, best)?, Vec::new()));
        }
        let call = |shard: &Shard, part: &Part| {
            let own = |hits: &'_ [ShardHit]| -> Vec<(u32, f32)> {
                hits.iter().filter(|hit| hit.shard == shard.number).map(|hit| (hit.hit.pid, hit.hit.score)).collect()
            };
            let counted: Vec<u32> = match query.options.facets.is_empty() {
                true => Vec::new(),
                false => own(&ranked).iter().map(|&(pid, _)| pid).collect(),
            };
            let hits = own(best);
            let (Some(version), false) = (part.version.as_deref(), hits.is_empty() && counted.is_empty()) else {
                return Ok(None);
            };
            let hits = encoded_hits(hits.into_iter());
            let body = to_json(&OutputCall { search: &query.fields, version, hits, counted })?;
            Ok(Some(collection.call(Method::POST, shard.path("/shard/output"), body)))
        };
        let before = failures(parts).len();
        let answers = fan_out(caller, collection, query, Phase::Output, parts, call).await?;
        if failures(parts).len() > before {
            continue;
        }
        let mut outputs: BTreeMap<usize, std::vec::IntoIter<Box<RawValue>>> = BTreeMap::new();
        // Without a hit, facets have their keys and no counts.
        let none = query.options.facets.iter().map(|key| Facet { key: key.clone(), counts: Vec::new() }).collect();
        let mut facets = vec![none];
        for (shard, answered) in answers {
            let output: OutputParts = parsed(&answered)?;
            outputs.insert(shard, output.hits.into_iter());
            facets.push(output.facets);
        }
        let next = |hit: &ShardHit| outputs.get_mut(&hit.shard).and_then(Iterator::next);
        let hits: Vec<_> = best.iter().map_while(next).collect();
        return match hits.len() == best.len() {
            true => Ok((hits, sum_facets(facets))),
            false => Err(ApiError::internal("a shard returned fewer hits than it was asked for").into()),
        };
    }
}

/// Merges the rankings of the shards that have answered.
fn merged(parts: &[Part], options: &SearchOptions) -> Result<Vec<ShardHit>> {
    let answered = parts.iter().enumerate().filter(|(_, part)| part.failed.is_none());
    let ranking = |(shard, part): (usize, &Part)| {
        let ranking = part.ranking.as_ref()?.ranking();
        Some(ranking.map(|ranking| (shard, ranking)))
    };
    let rankings = answered.filter_map(ranking).collect::<Result<Vec<(usize, ShardRanking)>, ApiError>>()?;
    merge(&rankings, options).map_err(|error| match error {
        selvedge::Error::Shards(error @ ShardsError::Differ { .. }) => {
            ApiError::new(StatusCode::CONFLICT, "SHARDS_DIFFER", error.to_string()).into()
        }
        error => ApiError::from(error).into(),
    })
}

/// Hits of which only the ids are needed; they came with the rankings.
fn hits_of_ids(parts: &[Part], best: &[ShardHit]) -> Result<Vec<Box<RawValue>>> {
    let mut ids: Vec<Option<BTreeMap<u32, &String>>> = Vec::new();
    for part in parts {
        let of_part = |ranking: &'_ RankResponse| -> Result<Vec<u32>, ApiError> {
            Ok(ranking.ranking()?.found.iter().map(|found| found.pid).collect())
        };
        ids.push(match &part.ranking {
            Some(ranking) => Some(of_part(ranking)?.into_iter().zip(&ranking.ids).collect()),
            None => None,
        });
    }
    let hit = |hit: &ShardHit| {
        let id = ids[hit.shard].as_ref().and_then(|ids| ids.get(&hit.hit.pid));
        let id = id.ok_or_else(|| ApiError::internal("a shard returned a passage without its id"))?;
        let hit = selvedge::Hit {
            pid: hit.hit.pid,
            id: (*id).clone(),
            score: hit.hit.score,
            text: None,
            snippet: None,
            metadata: None,
            explanation: None,
        };
        to_raw_value(&hit).map_err(|error| ApiError::internal(error.to_string()).into())
    };
    best.iter().map(hit).collect()
}

/// Asks all shards that have not failed, side by side, and returns their answers. `call` makes the request of each, or
/// none.
async fn fan_out(
    caller: &Caller,
    collection: &Collection,
    query: &Query,
    phase: Phase,
    parts: &mut [Part],
    call: impl Fn(&Shard, &Part) -> Result<Option<super::client::Call>>,
) -> Result<Vec<(usize, Answered)>, Stop> {
    let mut asked = Vec::new();
    for (shard, part) in collection.shards.iter().zip(&*parts).filter(|(_, part)| part.failed.is_none()) {
        if let Some(call) = call(shard, part)? {
            let before = part.replica;
            asked.push(async move { (shard, caller.ask(shard, phase, &call, before, query.deadline).await) });
        }
    }
    let mut answers = Vec::new();
    let mut gone = None;
    for (shard, result) in join_all(asked).await {
        let part = &mut parts[shard.number];
        match result {
            Ok(answered) => {
                part.replica = Some(answered.replica);
                answers.push((shard.number, answered));
            }
            Err(CallError::Gone) => gone = Some(shard.number),
            Err(CallError::Refused(status, body)) => return Err(RouterError::OfShard(status, body).into()),
            Err(error) => {
                part.failed = Some(text_of(error));
                part.ranking = None;
            }
        }
    }
    if let Some(shard) = gone {
        return Err(Stop::Gone(shard));
    }
    let failed = failures(parts);
    if !failed.is_empty() && (!query.allows_partial || failed.len() == parts.len()) {
        return Err(shards_failed(&failed, parts.len()).into());
    }
    Ok(answers)
}

fn failures(parts: &[Part]) -> Vec<FailedShard> {
    let failed = |(shard, part): (usize, &Part)| Some(FailedShard { shard, error: part.failed.clone()? });
    parts.iter().enumerate().filter_map(failed).collect()
}

/// Reason of an error that other shards need not have.
pub(crate) fn text_of(error: CallError) -> String {
    match error {
        CallError::Failed(reason) => reason,
        CallError::Gone => "its version is gone".into(),
        CallError::Refused(status, body) => {
            format!("{}: {}", status.as_u16(), body["message"].as_str().unwrap_or_default())
        }
    }
}

/// Parses the answer of a shard.
pub(crate) fn parsed<T: DeserializeOwned>(answered: &Answered) -> Result<T> {
    let bad = |error| ApiError::internal(format!("the answer of a shard is malformed: {error}"));
    Ok(serde_json::from_slice(&answered.body).map_err(bad)?)
}

/// Writes the body of a request.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value).map_err(|error| ApiError::internal(error.to_string()))?)
}

/// Embeddings as the bits of their numbers.
fn embeddings_field(rows: &[f32], dim: usize) -> Result<Box<RawValue>> {
    let field = json!({"base64": encoded(rows), "shape": [rows.len() / dim.max(1), dim]});
    Ok(to_raw_value(&field).map_err(|error| ApiError::internal(error.to_string()))?)
}
