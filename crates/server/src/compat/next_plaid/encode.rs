//! Encoding and reranking, without an index.

use super::input::PlaidEmbeddings;
use super::pool_factor;
use crate::compat::maxsim::{self, Scored};
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes;
use crate::routes::encode::{Rows, all, written};
use crate::routes::input::{Json, encoded};
use crate::state::App;
use crate::work::within;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use selvedge::{Embeddings, SearchError, TextKind};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use std::time::Instant;

/// Texts to encode.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidEncodeRequest {
    /// The texts.
    texts: Vec<String>,
    /// Kind of all texts.
    input_type: InputType,
    /// Factor by which the embeddings of documents are pooled.
    #[serde(default)]
    pool_factor: Option<usize>,
}

/// Kind of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InputType {
    /// A query, which may be expanded.
    Query,
    /// A document.
    #[serde(alias = "passage")]
    Document,
}

/// A query and documents as texts.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidRerankTextsRequest {
    /// The query.
    query: String,
    /// The documents.
    documents: Vec<String>,
}

/// A query and documents as embeddings.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct PlaidRerankRequest {
    /// Embeddings of the query.
    #[serde(default)]
    query: Option<Vec<Vec<f32>>>,
    /// Embeddings of the query in base64.
    #[serde(default)]
    query_b64: Option<String>,
    /// `[T, D]` of the query.
    #[serde(default)]
    query_shape: Option<[usize; 2]>,
    /// Embeddings of the documents.
    documents: Vec<PlaidEmbeddings>,
}

/// Documents by their scores, best first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PlaidRerankResponse {
    /// The documents.
    results: Vec<PlaidRerankResult>,
    /// Number of documents.
    num_documents: usize,
}

/// A document and its score.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlaidRerankResult {
    /// Place of the document in the request.
    index: usize,
    /// MaxSim.
    score: f32,
}

impl From<InputType> for TextKind {
    fn from(kind: InputType) -> Self {
        match kind {
            InputType::Query => Self::Query,
            InputType::Document => Self::Passage,
        }
    }
}

/// Encodes texts; in base64 with the header `X-Embeddings-Format: base64`.
#[utoipa::path(post, path = "/encode", tag = "next-plaid", request_body = PlaidEncodeRequest, responses(
    (status = 200, body = Object), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn encode_texts(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(request): Json<PlaidEncodeRequest>,
) -> Result<Response> {
    let deadline = Instant::now() + app.config.timeout(None);
    // Queries are not pooled.
    let factor = match request.input_type {
        InputType::Query => 1,
        InputType::Document => pool_factor(request.pool_factor)?,
    };
    if request.texts.is_empty() {
        return Err(ApiError::bad_request("there is no text"));
    }
    let is_base64 = headers.get("x-embeddings-format").is_some_and(|value| value == "base64");
    within(deadline, async {
        let model = routes::encode::model(&app, None).await?;
        let texts = all(&app, &model, request.texts, request.input_type.into(), deadline).await?;
        let dim = model.encoder().dim();
        let texts = app.reads.run(move || pooled(texts, dim, factor)).await??;
        written(&app, PlaidEncodeResponse { texts, dim, is_base64 }).await
    })
    .await
}

/// Embeddings of texts, as they are written.
struct PlaidEncodeResponse {
    texts: Vec<Vec<f32>>,
    dim: usize,
    is_base64: bool,
}

impl Serialize for PlaidEncodeResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (texts, dim) = (&self.texts, self.dim);
        let mut object = serializer.serialize_struct("PlaidEncodeResponse", 3)?;
        if self.is_base64 {
            let texts64: Vec<String> = texts.iter().map(|rows| encoded(rows)).collect();
            let shapes: Vec<[usize; 2]> = texts.iter().map(|rows| [rows.len() / dim, dim]).collect();
            object.serialize_field("embeddings_b64", &texts64)?;
            object.serialize_field("shapes", &shapes)?;
        } else {
            let rows: Vec<Rows<'_>> = texts.iter().map(|rows| Rows { rows, dim }).collect();
            object.serialize_field("embeddings", &rows)?;
        }
        object.serialize_field("num_texts", &texts.len())?;
        object.end()
    }
}

/// The embeddings of each text, pooled by a factor.
pub(super) fn pooled(texts: Vec<Vec<f32>>, dim: usize, factor: usize) -> Result<Vec<Vec<f32>>> {
    if factor == 1 {
        return Ok(texts);
    }
    let lens = texts.iter().map(|rows| (rows.len() / dim) as u32).collect();
    let embeddings = Embeddings { dim, data: texts.concat(), lens, num_truncated: 0 };
    let pooled = selvedge::pool(embeddings, factor).map_err(selvedge::Error::from)?;
    Ok(pooled.iter().map(<[f32]>::to_vec).collect())
}

/// Ranks texts by their MaxSim with a query, of all embeddings: `pool_factor` has no effect.
#[utoipa::path(post, path = "/rerank_with_encoding", tag = "next-plaid", request_body = PlaidRerankTextsRequest,
    responses((status = 200, body = PlaidRerankResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn rerank_with_encoding(
    State(app): State<Arc<App>>,
    Json(request): Json<PlaidRerankTextsRequest>,
) -> Result<axum::Json<PlaidRerankResponse>> {
    let deadline = Instant::now() + app.config.timeout(None);
    within(deadline, async {
        let model = routes::encode::model(&app, None).await?;
        let scoring = maxsim::score_texts(&app, &model, request.query, request.documents, deadline);
        Ok(axum::Json(sorted(&scoring.await?)))
    })
    .await
}

/// Ranks documents of embeddings by their MaxSim with a query.
pub(crate) async fn rerank_embeddings(app: &App, request: PlaidRerankRequest) -> Result<PlaidRerankResponse> {
    let PlaidRerankRequest { query, query_b64, query_shape, documents } = request;
    let (query, dim) = PlaidEmbeddings::new(query, query_b64, query_shape).rows()?;
    if documents.is_empty() {
        return Err(ApiError::bad_request("there is no document"));
    }
    let mut rows = Vec::with_capacity(documents.len());
    for document in documents {
        let (document, found) = document.rows()?;
        if found != dim {
            return Err(SearchError::DimMismatch { expected: dim, found }.into());
        }
        rows.push(document);
    }
    if !query.iter().chain(rows.iter().flatten()).all(|x| x.is_finite()) {
        return Err(ApiError::bad_request("an embedding has a number that is not finite"));
    }
    Ok(sorted(&maxsim::score(app, dim, query, rows).await?))
}

fn sorted(scored: &Scored) -> PlaidRerankResponse {
    let order = scored.order().into_iter();
    let results = order.map(|index| PlaidRerankResult { index, score: scored.scores[index] }).collect();
    PlaidRerankResponse { results, num_documents: scored.scores.len() }
}
