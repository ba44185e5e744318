//! `/pooling`: the embeddings of each token, as vLLM answers for late interaction.
//!
//! vLLM leaves the prompts of queries and documents to its clients; here the model adds them. Texts are documents,
//! unless `input_type` is `query`. In base64 a matrix is the bytes of its f32, little-endian; its `shape` is beside it,
//! which vLLM leaves out.

use super::maxsim;
use super::next_plaid::InputType;
use super::rerank::{Usage, model};
use super::score::Texts;
use super::within;
use crate::auth::random_hex;
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::encode::Encoding;
use crate::routes::input::{Json, encoded};
use crate::state::App;
use crate::tasks::now_ms;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
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
    data: Value,
    /// `[T, D]`.
    shape: [usize; 2],
}

/// Encodes texts to the embeddings of their tokens.
#[utoipa::path(post, path = "/pooling", tag = "encode", request_body = PoolingRequest, responses(
    (status = 200, body = PoolingResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn pooling(
    State(app): State<Arc<App>>,
    Json(request): Json<PoolingRequest>,
) -> Result<axum::Json<PoolingResponse>> {
    let deadline = Instant::now() + app.config.timeout(None);
    let texts = request.input.list();
    if texts.is_empty() {
        return Err(ApiError::bad_request("there is no input"));
    }
    let pooled = async {
        let model = model(&app, request.model).await?;
        let kind = request.input_type.unwrap_or(InputType::Document);
        let texts = maxsim::encode(&model, texts, kind.into(), deadline).await?;
        let dim = model.encoder().dim();
        let num_tokens = texts.iter().map(Vec::len).sum::<usize>() / dim;
        let format = request.encoding_format;
        let write = move || texts.iter().enumerate().map(|(at, rows)| pooled(at, rows, dim, format)).collect();
        Ok(PoolingResponse {
            id: format!("pool-{}", random_hex(16)?),
            object: "list",
            created: now_ms() / 1000,
            model: model.encoder().model().to_owned(),
            data: app.reads.run(write).await?,
            usage: Usage { prompt_tokens: num_tokens, total_tokens: num_tokens },
        })
    };
    within(deadline, pooled).await.map(axum::Json)
}

fn pooled(index: usize, rows: &[f32], dim: usize, format: Encoding) -> Pooled {
    let data = match format {
        Encoding::Float => json!(rows.chunks_exact(dim).collect::<Vec<_>>()),
        Encoding::Base64 => json!(encoded(rows)),
    };
    Pooled { index, object: "pooling", data, shape: [rows.len() / dim, dim] }
}
