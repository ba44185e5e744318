//! A search of all shards: encode, statistics, rank, output, one fan-out each.
//!
//! All phases of a query see one version of each shard. A shard whose version is gone makes the search begin again,
//! once. A shard that fails in any phase is left out of the whole answer, if the client allows that.

use super::call::{Answered, Caller, Collection, Phase, Shard};
use super::error::{CallError, FailedShard, Result, RouterError, shards_failed};
use super::fan::{Part, Stop, failures, fan_out, parsed, text_of};
use super::query::{Query, to_json};
use super::wire::{OutputParts, RankResponse, Ranked, StatisticsRequest, StatisticsResponse, encoded_hits};
use crate::error::ApiError;
use crate::routes::search::warnings;
use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use selvedge::shards::{ShardHit, ShardRanking, ShardsError, merge, sum_facets};
use selvedge::{Facet, SearchOptions, Statistics};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

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
    /// The part of the answer that is needed, as it was written.
    #[derive(Deserialize)]
    struct Encoded {
        embeddings: [Box<RawValue>; 1],
    }
    let mut failed = Vec::new();
    for shard in collection.up_first() {
        let body = json!({"texts": [text], "kind": "query", "encoding": "base64", "index": shard.index});
        let call = collection.call(Method::POST, "/v1/encode".into(), to_json(&body)?);
        let parse = |body: Bytes| parsed::<Encoded>(&body);
        match caller.ask(shard, Phase::Encode, &call, None, query.deadline, parse).await {
            Ok(Answered { value: Encoded { embeddings: [embeddings] }, .. }) => {
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
    let unknown = answered().map(|ranked| ranked.unknown_keys.clone());
    let unknown = unknown.reduce(|a, b| a.intersection(&b).cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
    Ok(RouterResponse {
        generation: answered().map(|ranked| ranked.ranking.generation).max().unwrap_or_default(),
        hits,
        facets,
        warnings: warnings(&unknown),
        num_scored: answered().map(|ranked| ranked.ranking.num_scored).sum(),
        cursor: None,
        times_us,
        shards: ShardsAnswered {
            total: parts.len(),
            ok: parts.len() - failed.len(),
            failed,
            generations: parts
                .iter()
                .map(|part| part.ranking.as_ref().map(|ranked| ranked.ranking.generation))
                .collect(),
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
    let parse = |_: &Shard, body: Bytes| {
        let answer: StatisticsResponse = parsed(&body)?;
        answer.statistics.check().map_err(|error| error.to_string())?;
        Ok(answer)
    };
    for (shard, answer) in fan_out(caller, collection, query, Phase::Statistics, parts, call, parse).await? {
        let StatisticsResponse { version, statistics } = answer;
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
    let body = |version: Option<&str>| {
        let (search, with_ids) = (&query.fields, !query.needs_output);
        to_json(&RankCall { search, statistics, version, with_ids }).map(Bytes::from)
    };
    // Shards that have not been asked before get the same bytes.
    let first = if statistics.is_none() { Some(body(None)?) } else { None };
    let call = |shard: &Shard, part: &Part| {
        let body = match (&part.version, &first) {
            (None, Some(first)) => first.clone(),
            (version, _) => body(version.as_deref())?,
        };
        Ok(Some(collection.call(Method::POST, shard.path("/shard/rank"), body)))
    };
    let parse = |shard: &Shard, body: Bytes| {
        let ranked = parsed::<RankResponse>(&body)?.ranked()?;
        match (ranked.ranking.generation, shard.generation) {
            (found, least) if found < least => Err(format!("generation {found}, but the collection has {least}")),
            _ => Ok(ranked),
        }
    };
    for (shard, ranked) in fan_out(caller, collection, query, Phase::Rank, parts, call, parse).await? {
        parts[shard].version = Some(ranked.version.clone());
        parts[shard].ranking = Some(ranked);
    }
    check_distinct(collection, parts)
}

/// Checks that no index answers for two shards: its passages would be there twice, and others not at all.
fn check_distinct(collection: &Collection, parts: &[Part]) -> Result<(), Stop> {
    let mut known = BTreeMap::new();
    for (shard, part) in collection.shards.iter().zip(parts) {
        let Some(Ranked { version, .. }) = &part.ranking else { continue };
        if let Some(first) = known.insert(version, shard) {
            let message = format!(
                "shard {} (index {:?}) and shard {} (index {:?}) are the same index, of version {version}; correct the \
                 addresses in the router's table",
                first.number, first.index, shard.number, shard.index
            );
            return Err(ApiError::new(StatusCode::CONFLICT, "SHARDS_EQUAL", message).into());
        }
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
        let parse = |shard: &Shard, body: Bytes| {
            let output: OutputParts = parsed(&body)?;
            let expected = best.iter().filter(|hit| hit.shard == shard.number).count();
            match (output.hits.len(), output.facets.len()) {
                (hits, _) if hits != expected => Err(format!("{hits} hits, expected {expected}")),
                (_, facets) if facets != query.options.facets.len() => Err(format!("{facets} facets")),
                _ => Ok(output),
            }
        };
        let before = failures(parts).len();
        let answers = fan_out(caller, collection, query, Phase::Output, parts, call, parse).await?;
        if failures(parts).len() > before {
            continue;
        }
        let mut outputs: BTreeMap<usize, std::vec::IntoIter<Box<RawValue>>> = BTreeMap::new();
        // Without a hit, facets have their keys and no counts.
        let none = query.options.facets.iter().map(|key| Facet { key: key.clone(), counts: Vec::new() }).collect();
        let mut facets = vec![none];
        for (shard, output) in answers {
            outputs.insert(shard, output.hits.into_iter());
            facets.push(output.facets);
        }
        // Each answer has a hit for each that was asked for.
        let next = |hit: &ShardHit| outputs.get_mut(&hit.shard).and_then(Iterator::next);
        let hits: Vec<_> = best.iter().filter_map(next).collect();
        return Ok((hits, sum_facets(facets)));
    }
}

/// Merges the rankings of the shards that have answered.
fn merged(parts: &[Part], options: &SearchOptions) -> Result<Vec<ShardHit>> {
    let answered = parts.iter().enumerate().filter(|(_, part)| part.failed.is_none());
    let rankings: Vec<(usize, &ShardRanking)> =
        answered.filter_map(|(shard, part)| Some((shard, &part.ranking.as_ref()?.ranking))).collect();
    merge(&rankings, options).map_err(|error| match error {
        selvedge::Error::Shards(error @ ShardsError::Differ { .. }) => {
            ApiError::new(StatusCode::CONFLICT, "SHARDS_DIFFER", error.to_string()).into()
        }
        error => ApiError::from(error).into(),
    })
}

/// Hits of which only the ids are needed; they came with the rankings.
fn hits_of_ids(parts: &[Part], best: &[ShardHit]) -> Result<Vec<Box<RawValue>>> {
    let hit = |hit: &ShardHit| {
        let of_shard = |Ranked { ranking, ids, .. }: &'_ Ranked| {
            let at = ranking.found.binary_search_by_key(&hit.hit.pid, |found| found.pid).ok()?;
            ids.get(at).cloned()
        };
        let id = parts[hit.shard].ranking.as_ref().and_then(of_shard);
        let id = id.ok_or_else(|| ApiError::internal("a shard returned a passage without its id"))?;
        let hit = selvedge::Hit {
            pid: hit.hit.pid,
            id,
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
