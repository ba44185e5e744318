//! Reading of a search of all shards.

use super::error::Result;
use crate::error::ApiError;
use crate::routes::input::{Json, encoded};
use crate::routes::search::options;
use crate::routes::search_bodies::{ExplainInput, SearchRequest};
use selvedge::SearchOptions;
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Field of a request that only routers know.
const PARTIAL: &str = "partial";

/// A search that was read and checked.
pub(crate) struct Query {
    /// The fields of the request for a shard, as the client wrote them.
    pub(super) fields: BTreeMap<String, Box<RawValue>>,
    pub(super) text: Option<String>,
    pub(super) options: SearchOptions,
    /// Whether the hits need more than their ids.
    pub(super) needs_output: bool,
    pub(super) allows_partial: bool,
    pub(super) deadline: Instant,
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

/// Writes the body of a request.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value).map_err(|error| ApiError::internal(error.to_string()))?)
}

/// Embeddings as the bits of their numbers.
fn embeddings_field(rows: &[f32], dim: usize) -> Result<Box<RawValue>> {
    let field = json!({"base64": encoded(rows), "shape": [rows.len() / dim.max(1), dim]});
    Ok(to_raw_value(&field).map_err(|error| ApiError::internal(error.to_string()))?)
}
