//! Encoding: texts to embeddings, without an index.

use super::input::{Json, encoded};
use crate::encoding::EncodeQueue;
use crate::error::{ApiError, ErrorBody, Result};
use crate::state::App;
use crate::trace;
use crate::work::{blocking, within};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use selvedge::TextKind;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Most texts of a request.
const MOST_TEXTS: usize = 4096;

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
    /// Index whose model encodes, instead of naming the model.
    #[serde(default)]
    index: Option<String>,
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
    embeddings: Vec<TextEmbeddings>,
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
pub(crate) async fn encode(State(app): State<Arc<App>>, Json(request): Json<EncodeRequest>) -> Result<Response> {
    let deadline = Instant::now() + app.config.timeout(request.timeout_ms);
    within(deadline, async {
        let model = match (request.index, request.model) {
            (Some(index), None) => app.index(&index)?.open()?.model.clone().ok_or(selvedge::Error::NoEncoder)?,
            (None, name) => model(&app, name).await?,
            _ => return Err(ApiError::bad_request("give an index, or a model")),
        };
        let texts = all(&app, &model, request.texts, request.kind.into(), deadline).await?;
        let (dim, encoding) = (model.encoder().dim(), request.encoding);
        let embeddings = texts.into_iter().map(|rows| TextEmbeddings { rows, dim, encoding }).collect();
        written(&app, EncodeResponse { model: model.encoder().model().to_owned(), dim, embeddings }).await
    })
    .await
}

/// The model of a request, which may have to be loaded.
pub(crate) async fn model(app: &Arc<App>, name: Option<String>) -> Result<Arc<EncodeQueue>> {
    let all = Arc::clone(app);
    blocking(move || all.model(name.as_deref())).await?
}

/// Encodes all texts of a request, with what others send.
///
/// # Errors
/// 400 and 413 for more texts or embeddings than a request may have, and the errors of [`EncodeQueue::encode`].
pub(crate) async fn all(
    app: &App,
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
    let mut encoded = stream::iter(texts).map(encode).buffered(model.share());
    let collect = async {
        let (mut all, mut num_floats) = (Vec::new(), 0);
        while let Some(rows) = encoded.try_next().await? {
            num_floats += rows.len();
            if num_floats * size_of::<f32>() > app.config.max_body {
                let message = format!("the embeddings take more than {} bytes: send fewer texts", app.config.max_body);
                return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "ANSWER_TOO_LARGE", message));
            }
            all.push(rows);
        }
        Ok(all)
    };
    collect.instrument(trace::stage("encode")).await
}

/// An answer of JSON, written on the pool of reads: numbers by the million take a while.
pub(crate) async fn written<T: Serialize + Send + 'static>(app: &App, answer: T) -> Result<Response> {
    let json = app.reads.run(move || serde_json::to_vec(&answer)).await?;
    let json = json.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// Embeddings of a text in an answer: rows, or `{"base64", "shape"}`.
#[derive(Debug)]
struct TextEmbeddings {
    rows: Vec<f32>,
    dim: usize,
    encoding: Encoding,
}

impl Serialize for TextEmbeddings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (rows, dim) = (&self.rows[..], self.dim);
        match self.encoding {
            Encoding::Float => Rows { rows, dim }.serialize(serializer),
            Encoding::Base64 => {
                let mut object = serializer.serialize_struct("TextEmbeddings", 2)?;
                object.serialize_field("base64", &encoded(rows))?;
                object.serialize_field("shape", &[rows.len() / dim, dim])?;
                object.end()
            }
        }
    }
}

/// `(T, D)` f32 as rows of numbers.
pub(crate) struct Rows<'a> {
    /// The numbers.
    pub(crate) rows: &'a [f32],
    /// Numbers of a row.
    pub(crate) dim: usize,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.chunks_exact(self.dim))
    }
}
