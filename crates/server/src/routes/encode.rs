//! Encoding: texts to embeddings, without an index.

use super::input::{Json, encoded};
use crate::encoding::EncodeQueue;
use crate::error::{ApiError, ErrorBody, Result};
use crate::state::App;
use crate::trace;
use axum::extract::State;
use futures_util::{StreamExt, TryStreamExt, stream};
use selvedge::TextKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Most texts of a request.
const MOST_TEXTS: usize = 4096;

/// Most texts of one request that wait for the model at a time: it leaves places for others.
const MOST_AT_A_TIME: usize = 64;

/// Kind of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A query, which may be expanded.
    Query,
    /// A passage.
    #[default]
    Passage,
}

/// Form of embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// Arrays of numbers.
    #[default]
    Float,
    /// Base64 of little-endian f32, with a shape.
    Base64,
}

/// Texts to encode.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncodeRequest {
    /// The texts.
    texts: Vec<String>,
    /// Kind of all texts.
    #[serde(default)]
    kind: Kind,
    /// Model, the server's by default.
    #[serde(default)]
    model: Option<String>,
    /// Form of the embeddings.
    #[serde(default)]
    encoding: Encoding,
    /// Longest time in milliseconds.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// Embeddings of texts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct EncodeResponse {
    /// Model that encoded.
    model: String,
    /// Components of an embedding.
    dim: usize,
    /// Embeddings of each text: rows, or `{"base64", "shape"}`.
    #[schema(value_type = Vec<Value>)]
    embeddings: Vec<Value>,
}

impl From<Kind> for TextKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Query => Self::Query,
            Kind::Passage => Self::Passage,
        }
    }
}

/// Encodes texts to the embeddings of their tokens.
#[utoipa::path(post, path = "/v1/encode", tag = "encode", request_body = EncodeRequest, responses(
    (status = 200, body = EncodeResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn encode(
    State(app): State<Arc<App>>,
    Json(request): Json<EncodeRequest>,
) -> Result<axum::Json<EncodeResponse>> {
    let deadline = Instant::now() + app.config.timeout(request.timeout_ms);
    let model = model(&app, request.model).await?;
    let rows = all(&model, request.texts, request.kind.into(), deadline).await?;
    let dim = model.encoder().dim();
    let embeddings = app.reads.run(move || rows.iter().map(|rows| json(rows, dim, request.encoding)).collect());
    let name = model.encoder().model().to_owned();
    Ok(axum::Json(EncodeResponse { model: name, dim, embeddings: embeddings.await? }))
}

/// The model of a request, which may have to be loaded.
pub(crate) async fn model(app: &Arc<App>, name: Option<String>) -> Result<Arc<EncodeQueue>> {
    let all = Arc::clone(app);
    app.reads.run(move || all.model(name.as_deref())).await?
}

/// Encodes all texts of a request, with what others send.
pub(crate) async fn all(
    model: &EncodeQueue,
    texts: Vec<String>,
    kind: TextKind,
    deadline: Instant,
) -> Result<Vec<Vec<f32>>> {
    if texts.len() > MOST_TEXTS {
        let message = format!("{} texts; at most {MOST_TEXTS} in a request", texts.len());
        return Err(ApiError::bad_request(message));
    }
    let encode = |text| model.encode(text, kind, deadline);
    let all = stream::iter(texts).map(encode).buffered(MOST_AT_A_TIME).try_collect();
    all.instrument(trace::stage("encode")).await
}

fn json(rows: &[f32], dim: usize, encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => json!(rows.chunks_exact(dim).collect::<Vec<_>>()),
        Encoding::Base64 => json!({"base64": encoded(rows), "shape": [rows.len() / dim, dim]}),
    }
}
