//! Bodies of the requests of a router and of the answers of a shard. Scores travel as bits, so that they stay equal.

use crate::error::{ApiError, Result};
use crate::routes::search_bodies::SearchRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use selvedge::shards::{Identity, ShardRanking};
use selvedge::{Facet, Found, StageTimes, Statistics};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Bytes of a found passage: pid, MaxSim as integer and as score, BM25, flags.
const FOUND_BYTES: usize = 17;
/// Flags of a found passage.
const HAS_MAXSIM: u8 = 1;
const HAS_WORDS: u8 = 2;
const IS_BY_MAXSIM: u8 = 4;
const IS_BY_WORDS: u8 = 8;

/// Words of a query whose statistics are needed.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatisticsRequest {
    /// Text of the query.
    pub(crate) query: String,
}

/// Statistics of the words of a query.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct StatisticsResponse {
    /// Version that answered.
    pub(crate) version: String,
    /// Passages, terms, and passages that have each term of the query.
    #[schema(value_type = Object)]
    pub(crate) statistics: Statistics,
}

/// A search of all shards, of which a shard answers its part.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankRequest {
    /// The search, as of one index. Its query has embeddings, unless only words are searched.
    pub(crate) search: SearchRequest,
    /// Sums of the statistics of all shards, for a search by words.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) statistics: Option<Statistics>,
    /// Version that answers: the one that has answered before.
    #[serde(default)]
    pub(crate) version: Option<String>,
    /// Whether the answer has the ids of the passages, for a search that wants nothing else of them.
    #[serde(default)]
    pub(crate) with_ids: bool,
}

/// Passages of a shard that may be among the best of the collection.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RankResponse {
    /// Version that answered.
    pub(crate) version: String,
    /// Generation of that version.
    pub(crate) generation: u32,
    /// Codec, model and language, which all shards have in common.
    #[schema(value_type = Object)]
    pub(crate) identity: Identity,
    /// Base64 of 17 bytes per passage, little-endian: `u32` pid, `i32` and `f32` MaxSim, `f32` BM25, `u8` flags (1: has
    /// MaxSim, 2: has BM25, 4: found by MaxSim, 8: found by words).
    pub(crate) found: String,
    /// Ids of the passages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ids: Vec<String>,
    /// Keys of the filter that no passage of the shard has.
    pub(crate) unknown_keys: BTreeSet<String>,
    /// Passages whose residuals were read.
    pub(crate) num_scored: usize,
}

/// Hits of a shard of which the answer needs more than their numbers.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputRequest {
    /// The search, as in the request of the ranking.
    pub(crate) search: SearchRequest,
    /// Version that the numbers are of.
    pub(crate) version: String,
    /// Base64 of 8 bytes per hit, little-endian: `u32` pid, `f32` score.
    pub(crate) hits: String,
    /// Passages whose values are counted.
    pub(crate) counted: Vec<u32>,
}

/// Hits and counts of a shard.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OutputResponse {
    /// Hits in the order of the request.
    #[schema(value_type = Vec<Object>)]
    pub(crate) hits: Vec<selvedge::Hit>,
    /// Counts of the facets.
    #[schema(value_type = Vec<Object>)]
    pub(crate) facets: Vec<Facet>,
}

/// [`OutputResponse`] as a router reads it: hits go on to the client as they are.
#[derive(Debug, Deserialize)]
pub(crate) struct OutputParts {
    pub(crate) hits: Vec<Box<RawValue>>,
    pub(crate) facets: Vec<Facet>,
}

impl RankResponse {
    /// The answer of a shard.
    pub(crate) fn new(version: &str, ranking: ShardRanking, ids: Vec<String>, unknown_keys: BTreeSet<String>) -> Self {
        let ShardRanking { generation, identity, found, num_scored, .. } = ranking;
        let bytes: Vec<u8> = found.iter().flat_map(found_bytes).collect();
        Self {
            version: version.to_owned(),
            generation,
            identity,
            found: STANDARD.encode(bytes),
            ids,
            unknown_keys,
            num_scored,
        }
    }

    /// Reads the answer, as far as it can be one.
    ///
    /// # Errors
    /// If its bytes are not passages in the order of pids with finite scores, each with its id if there are ids.
    pub(crate) fn ranked(self) -> Result<Ranked, String> {
        let bytes = STANDARD.decode(&self.found).map_err(|error| error.to_string())?;
        let (entries, rest) = bytes.as_chunks::<FOUND_BYTES>();
        if !rest.is_empty() || !self.ids.is_empty() && self.ids.len() != entries.len() {
            return Err("not whole passages".into());
        }
        let found: Vec<Found> = entries.iter().map(found_of).collect();
        if !found.is_sorted_by(|a, b| a.pid < b.pid) {
            return Err("passages out of order".into());
        }
        let scores = |found: &Found| [found.maxsim.map(|(_, score)| score), found.words];
        if !found.iter().flat_map(scores).flatten().all(f32::is_finite) {
            return Err("scores that are no numbers".into());
        }
        let Self { version, generation, identity, ids, unknown_keys, num_scored, .. } = self;
        let ranking = ShardRanking { generation, identity, found, num_scored, stages_us: StageTimes::default() };
        Ok(Ranked { version, ranking, ids, unknown_keys })
    }
}

/// [`RankResponse`] as a router reads it.
#[derive(Debug)]
pub(crate) struct Ranked {
    pub(crate) version: String,
    pub(crate) ranking: ShardRanking,
    /// Ids of the passages; empty if they were not asked for.
    pub(crate) ids: Vec<String>,
    pub(crate) unknown_keys: BTreeSet<String>,
}

fn found_bytes(found: &Found) -> [u8; FOUND_BYTES] {
    let (raw, score) = found.maxsim.unwrap_or_default();
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags = flag(found.maxsim.is_some(), HAS_MAXSIM)
        | flag(found.words.is_some(), HAS_WORDS)
        | flag(found.is_by_maxsim, IS_BY_MAXSIM)
        | flag(found.is_by_words, IS_BY_WORDS);
    let mut bytes = [flags; FOUND_BYTES];
    bytes[..4].copy_from_slice(&found.pid.to_le_bytes());
    bytes[4..8].copy_from_slice(&raw.to_le_bytes());
    bytes[8..12].copy_from_slice(&score.to_le_bytes());
    bytes[12..16].copy_from_slice(&found.words.unwrap_or_default().to_le_bytes());
    bytes
}

fn found_of(bytes: &[u8; FOUND_BYTES]) -> Found {
    let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    let has = |flag: u8| bytes[16] & flag != 0;
    Found {
        pid: u32::from_le_bytes(word(0)),
        maxsim: has(HAS_MAXSIM).then(|| (i32::from_le_bytes(word(4)), f32::from_le_bytes(word(8)))),
        words: has(HAS_WORDS).then(|| f32::from_le_bytes(word(12))),
        is_by_maxsim: has(IS_BY_MAXSIM),
        is_by_words: has(IS_BY_WORDS),
    }
}

/// Base64 of pids and scores.
pub(crate) fn encoded_hits(hits: impl Iterator<Item = (u32, f32)>) -> String {
    STANDARD
        .encode(hits.flat_map(|(pid, score)| [pid.to_le_bytes(), score.to_le_bytes()].concat()).collect::<Vec<u8>>())
}

/// Pids and scores of base64.
///
/// # Errors
/// 400 if the bytes are not such.
pub(crate) fn decoded_hits(base64: &str) -> Result<Vec<(u32, f32)>> {
    let bytes = STANDARD.decode(base64).map_err(|error| ApiError::bad_request(format!("hits: {error}")))?;
    let (entries, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(ApiError::bad_request("hits: expected 8 bytes each"));
    }
    let hit = |bytes: &[u8; 8]| {
        let [a, b, c, d, e, f, g, h] = *bytes;
        (u32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]))
    };
    Ok(entries.iter().map(hit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_no_shard_gives_are_refused() {
        let identity = Identity { codec: "a".into(), model: None, language: None };
        let found =
            |pid, score| Found { pid, maxsim: Some((1, score)), words: None, is_by_maxsim: true, is_by_words: false };
        let ranked = |found: Vec<Found>, ids: &[&str], change: fn(&mut RankResponse)| {
            let stages_us = StageTimes::default();
            let ranking = ShardRanking { generation: 1, identity: identity.clone(), found, num_scored: 0, stages_us };
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            let mut answer = RankResponse::new("1-a", ranking, ids, BTreeSet::new());
            change(&mut answer);
            answer.ranked().map(|ranked| ranked.ranking.found.len())
        };
        let none = |_: &mut RankResponse| {};
        assert_eq!(ranked(vec![found(1, 0.5), found(3, 0.25)], &["a", "b"], none), Ok(2));
        for (found, ids) in [
            (vec![found(1, 0.5)], &["a", "b"][..]),
            (vec![found(1, 0.5), found(1, 0.5)], &[]),
            (vec![found(1, f32::NAN)], &[]),
        ] {
            assert!(ranked(found.clone(), ids, none).is_err(), "{found:?}");
        }
        assert!(ranked(vec![], &[], |answer| answer.found = "AAAA".into()).is_err());
    }

    #[test]
    fn passages_survive_their_bytes() {
        let passage =
            |pid, maxsim, words, is_by_maxsim| Found { pid, maxsim, words, is_by_maxsim, is_by_words: !is_by_maxsim };
        let found = [
            passage(7, Some((-3, f32::from_bits(0x3e99_999b))), None, true),
            passage(u32::MAX, None, Some(f32::MIN_POSITIVE), false),
            passage(0, Some((i32::MAX, -0.0)), Some(1.5), false),
        ];
        for one in found {
            assert_eq!(found_of(&found_bytes(&one)), one);
        }
        let hits = [(3, 0.1), (u32::MAX, f32::MIN_POSITIVE)];
        assert_eq!(decoded_hits(&encoded_hits(hits.into_iter())).unwrap(), hits);
        assert!(decoded_hits("AAAA").is_err() && decoded_hits("?").is_err());
    }
}
