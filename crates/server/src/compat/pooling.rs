//! `/pooling`: the embeddings of each token, as vLLM answers for late interaction.
//!
//! vLLM leaves the prompts of queries and documents to its clients; here the model adds them. Texts are documents,
//! unless `input_type` is `query`. In base64 a matrix is the bytes of its f32, little-endian; its `shape` is beside it,
//! which vLLM leaves out.

use super::next_plaid::InputType;
use super::rerank::{Usage, model};
use super::score::Texts;
use crate::auth::random_hex;
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::encode::{Encoding, Rows, all, written};
use crate::routes::input::{Json, encoded};
use crate::state::App;
use crate::tasks::now_ms;
use crate::work::within;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use std::time::Instant;

/// Texts to encode.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PoolingRequest {
    /// Model; the server's, if it does not have this one.
    #[serde(default)]
    model: Option<String>,
    /// One text or several.
    input: Texts,
    /// Kind of all texts, `document` by default.
    #[serde(default)]
    input_type: Option<InputType>,
    /// Form of the embeddings.
    #[serde(default)]
    encoding_format: Encoding,
}

/// Embeddings of the texts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PoolingResponse {
    /// Name of the answer.
    id: String,
    /// `list`.
    object: &'static str,
    /// Seconds since 1970.
    created: u64,
    /// Model that encoded.
    model: String,
    /// Embeddings in the order of the texts.
    data: Vec<Pooled>,
    /// Number of embeddings.
    usage: Usage,
}

/// Embeddings of a text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Pooled {
    /// Place of the text in the request.
    index: usize,
    /// `pooling`.
    object: &'static str,
    /// `T` rows of `D` numbers, or their bytes in base64.
    #[schema(value_type = Value)]
    data: Matrix,
    /// `[T, D]`.
    shape: [usize; 2],
}

/// Embeddings of a text, as they are written.
#[derive(Debug)]
struct Matrix {
    rows: Vec<f32>,
    dim: usize,
    encoding: Encoding,
}

impl Serialize for Matrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.encoding {
            Encoding::Float => Rows { rows: &self.rows, dim: self.dim }.serialize(serializer),
            Encoding::Base64 => serializer.serialize_str(&encoded(&self.rows)),
        }
    }
}

/// Encodes texts to the embeddings of their tokens.
#[utoipa::path(post, path = "/pooling", tag = "encode", request_body = PoolingRequest, responses(
    (status = 200, body = PoolingResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn pooling(State(app): State<Arc<App>>, Json(request): Json<PoolingRequest>) -> Result<Response> {
    let deadline = Instant::now() + app.config.timeout(None);
    let texts = request.input.list();
    if texts.is_empty() {
        return Err(ApiError::bad_request("there is no input"));
    }
    within(deadline, async {
        let model = model(&app, request.model).await?;
        let kind = request.input_type.unwrap_or(InputType::Document);
        let texts = all(&app, &model, texts, kind.into(), deadline).await?;
        let dim = model.encoder().dim();
        let num_tokens = texts.iter().map(Vec::len).sum::<usize>() / dim;
        let pooled = |(index, rows): (usize, Vec<f32>)| {
            let shape = [rows.len() / dim, dim];
            Pooled { index, object: "pooling", data: Matrix { rows, dim, encoding: request.encoding_format }, shape }
        };
        let answer = PoolingResponse {
            id: format!("pool-{}", random_hex(16)?),
            object: "list",
            created: now_ms() / 1000,
            model: model.encoder().model().to_owned(),
            data: texts.into_iter().enumerate().map(pooled).collect(),
            usage: Usage { prompt_tokens: num_tokens, total_tokens: num_tokens },
        };
        written(&app, answer).await
    })
    .await
}
