//! Errors of a router: its own, and those that a shard gave, which go on to the client.

use crate::error::ApiError;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

/// Result of a request to a router.
pub(crate) type Result<T, E = RouterError> = std::result::Result<T, E>;

/// Reason why a shard gave no answer.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    /// The request is wrong, as any replica would say: status and body of the answer.
    Refused(StatusCode, Value),
    /// The version that the request names is not kept any more.
    Gone,
    /// No replica answered: the reason of each.
    Failed(String),
}

/// A shard that did not answer, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct FailedShard {
    /// Number of the shard, from 0.
    pub(crate) shard: usize,
    /// Reason of each replica.
    pub(crate) error: String,
}

/// Error of a request to a router.
#[derive(Debug)]
pub(crate) enum RouterError {
    /// An error of the router itself.
    Own(ApiError),
    /// Status and body of a shard's error.
    OfShard(StatusCode, Value),
}

impl RouterError {
    /// Reason for people.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Own(error) => &error.message,
            Self::OfShard(_, body) => body["message"].as_str().unwrap_or_default(),
        }
    }
}

impl From<ApiError> for RouterError {
    fn from(error: ApiError) -> Self {
        Self::Own(error)
    }
}

impl IntoResponse for RouterError {
    fn into_response(self) -> Response {
        match self {
            Self::Own(error) => error.into_response(),
            Self::OfShard(status, body) => (status, axum::Json(body)).into_response(),
        }
    }
}

/// The error of an answer that lacks shards.
pub(crate) fn shards_failed(failed: &[FailedShard], total: usize) -> RouterError {
    let reasons: Vec<String> = failed.iter().map(|one| format!("shard {}: {}", one.shard, one.error)).collect();
    let message = format!(
        "{} of {total} shards did not answer ({}); \"partial\": true allows answers without them",
        failed.len(),
        reasons.join("; ")
    );
    let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "SHARDS_FAILED", message);
    RouterError::Own(error.with(json!({"total": total, "failed": failed})))
}
