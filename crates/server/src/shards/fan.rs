//! One phase of a query: all shards side by side.

use super::call::{Caller, Collection, Phase, Shard};
use super::client::Call;
use super::error::{CallError, FailedShard, Result, RouterError, shards_failed};
use super::query::Query;
use super::wire::Ranked;
use crate::error::ApiError;
use axum::body::Bytes;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

/// Answers of a shard so far in a query.
#[derive(Default)]
pub(super) struct Part {
    /// Version of all phases, and the replica that has it.
    pub(super) version: Option<String>,
    pub(super) replica: Option<usize>,
    pub(super) ranking: Option<Ranked>,
    pub(super) failed: Option<String>,
}

/// End of an attempt that did not succeed.
pub(super) enum Stop {
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

/// Asks all shards that have not failed, side by side, and returns their answers. `call` makes the request of each, or
/// none; `parse` reads its answer.
pub(super) async fn fan_out<T>(
    caller: &Caller,
    collection: &Collection,
    query: &Query,
    phase: Phase,
    parts: &mut [Part],
    call: impl Fn(&Shard, &Part) -> Result<Option<Call>>,
    parse: impl Fn(&Shard, Bytes) -> Result<T, String>,
) -> Result<Vec<(usize, T)>, Stop> {
    let (mut asked, parse) = (Vec::new(), &parse);
    for (shard, part) in collection.shards.iter().zip(&*parts).filter(|(_, part)| part.failed.is_none()) {
        if let Some(call) = call(shard, part)? {
            let before = part.replica;
            asked.push(async move {
                let parse = |body| parse(shard, body);
                (shard, caller.ask(shard, phase, &call, before, query.deadline, parse).await)
            });
        }
    }
    let mut answers = Vec::new();
    let mut gone = None;
    for (shard, result) in join_all(asked).await {
        let part = &mut parts[shard.number];
        match result {
            Ok(answered) => {
                part.replica = Some(answered.replica);
                answers.push((shard.number, answered.value));
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

pub(super) fn failures(parts: &[Part]) -> Vec<FailedShard> {
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
pub(crate) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
