//! Description of a collection, summed over its shards, and its documents.

use super::call::{Caller, Collection, Phase, Shard};
use super::error::{CallError, FailedShard, Result, RouterError, shards_failed};
use super::fan::{parsed, text_of};
use crate::error::ApiError;
use axum::body::Bytes;
use axum::http::Method;
use futures_util::future::join_all;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

/// Numbers of an index that a collection has the sums of.
const SUMMED: [&str; 6] = ["passages", "deleted", "tokens", "segments", "bytes", "waiting_writes"];
/// Properties that all shards have in common.
const COMMON: [&str; 5] = ["dim", "nbits", "centroids", "model", "language"];

/// Describes a collection as an index is described, with its shards.
pub(crate) async fn info(caller: &Caller, collection: &Collection, deadline: Instant) -> Result<Value> {
    let ask = |shard| async move {
        let call = collection.call(Method::GET, Shard::path(shard, ""), Bytes::new());
        (shard.number, caller.ask(shard, Phase::Look, &call, None, deadline, |body| parsed(&body)).await)
    };
    let (mut infos, mut failed): (Vec<Map<String, Value>>, Vec<FailedShard>) = (Vec::new(), Vec::new());
    for (shard, answer) in join_all(collection.shards.iter().map(ask)).await {
        match answer {
            Ok(answered) => infos.push(answered.value),
            Err(error) => failed.push(FailedShard { shard, error: text_of(error) }),
        }
    }
    match failed.is_empty() {
        true => Ok(sum(&collection.name, &infos)),
        false => Err(shards_failed(&failed, collection.shards.len())),
    }
}

/// Describes a collection that cannot be described, as a broken index is.
pub(crate) fn broken(name: &str, error: &RouterError) -> Value {
    json!({"name": name, "state": "broken", "error": error.message()})
}

/// Sums the descriptions of shards.
fn sum(name: &str, infos: &[Map<String, Value>]) -> Value {
    let number = |info: &Map<String, Value>, key: &str| info.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut sum = Map::new();
    sum.insert("name".into(), name.into());
    let is_ready = infos.iter().all(|info| info.get("state").is_some_and(|state| state == "ready"));
    sum.insert("state".into(), if is_ready { "ready" } else { "broken" }.into());
    let error = infos.iter().find_map(|info| info.get("error").filter(|error| !error.is_null()));
    sum.insert("error".into(), error.cloned().unwrap_or_default());
    let generation = infos.iter().map(|info| number(info, "generation")).max();
    sum.insert("generation".into(), generation.into());
    for key in SUMMED {
        sum.insert(key.into(), infos.iter().map(|info| number(info, key)).sum::<u64>().into());
    }
    for key in COMMON {
        sum.insert(key.into(), infos.first().and_then(|info| info.get(key)).cloned().unwrap_or_default());
    }
    let weighted = infos.iter().map(|info| {
        let bytes = info.get("bytes_per_vector").and_then(Value::as_f64).unwrap_or_default();
        bytes * number(info, "tokens") as f64
    });
    let tokens = infos.iter().map(|info| number(info, "tokens")).sum::<u64>();
    sum.insert("bytes_per_vector".into(), json!(weighted.sum::<f64>() / tokens.max(1) as f64));
    let keys: BTreeSet<&str> = infos
        .iter()
        .filter_map(|info| info.get("metadata_keys")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    sum.insert("metadata_keys".into(), json!(keys));
    sum.insert("tasks".into(), json!([]));
    let shard = |info: &Map<String, Value>| {
        let part = ["name", "state", "generation", "passages", "tokens"];
        part.iter().map(|&key| (key.to_owned(), info.get(key).cloned().unwrap_or_default())).collect::<Map<_, _>>()
    };
    sum.insert("shards".into(), infos.iter().map(shard).map(Value::Object).collect());
    Value::Object(sum)
}

/// The document of an id, from the shard that has it.
pub(crate) async fn document(
    caller: &Caller,
    collection: &Collection,
    parameters: &str,
    id: &str,
    deadline: Instant,
) -> Result<Bytes> {
    let ask = |shard| async move {
        let path = Shard::path(shard, &format!("/documents?{parameters}"));
        let call = collection.call(Method::GET, path, Bytes::new());
        let is_json = |body: Bytes| parsed::<IgnoredAny>(&body).map(|_| body.clone());
        (shard.number, caller.ask(shard, Phase::Look, &call, None, deadline, is_json).await)
    };
    let mut failed = Vec::new();
    for (shard, answer) in join_all(collection.shards.iter().map(ask)).await {
        match answer {
            Ok(answered) => return Ok(answered.value),
            Err(CallError::Refused(_, body)) if body["code"] == "DOCUMENT_NOT_FOUND" => {}
            Err(CallError::Refused(status, body)) => return Err(RouterError::OfShard(status, body)),
            Err(error) => failed.push(FailedShard { shard, error: text_of(error) }),
        }
    }
    match failed.is_empty() {
        true => Err(ApiError::no_document(id).into()),
        // It may be there.
        false => Err(shards_failed(&failed, collection.shards.len())),
    }
}
