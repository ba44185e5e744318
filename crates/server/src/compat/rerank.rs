//! `/rerank`, `/v1/rerank`, `/v2/rerank`: texts ranked by MaxSim, as Cohere, Jina and vLLM answer.
//!
//! | path | scores | with the documents |
//! |---|---|---|
//! | `/rerank`, `/v1/rerank` | MaxSim, as vLLM answers for late interaction | yes, unless `return_documents` is false |
//! | `/v2/rerank` | mean MaxSim in [0, 1], as Cohere promises | no, unless `return_documents` is true |
//!
//! The field `score` (`maxsim` or `mean`) chooses on any path. The mean divides by the number of query tokens, so that
//! the order is the same. Names of models that this server does not have mean its own model, as clients have to name
//! one; the answer says which it was. `/rerank` is a route of next-plaid, too: a query of embeddings gets its answer.

use super::maxsim::{self, Scored};
use super::next_plaid::{PlaidRerankRequest, PlaidRerankResponse, rerank_embeddings};
use super::spans::{Embedded, RelevantSpan, Token, relevant};
use crate::auth::random_hex;
use crate::encoding::EncodeQueue;
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes;
use crate::routes::input::{Json, JsonBytes};
use crate::state::App;
use crate::work::within;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge::{Encoder, TextKind};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Score of a span, from which on it is returned.
const SPAN_THRESHOLD: f32 = 0.1;

/// A query and documents to rank.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct RerankRequest {
    /// Model; the server's, if it does not have this one.
    #[serde(default)]
    model: Option<String>,
    /// The query.
    query: String,
    /// The documents.
    documents: Vec<RerankDocument>,
    /// Number of results; all by default, and for 0.
    #[serde(default)]
    top_n: Option<usize>,
    /// Whether results carry their document.
    #[serde(default)]
    return_documents: Option<bool>,
    /// Fields that make the text of documents with fields; `text` by default.
    #[serde(default)]
    rank_fields: Option<Vec<String>>,
    /// Whether results carry the parts of the document that the query matched.
    #[serde(default)]
    relevant_spans: Option<RelevantSpans>,
    /// Score: `maxsim`, or its mean from 0 to 1.
    #[serde(default)]
    score: Option<Score>,
}

/// A document: its text, or fields.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
enum RerankDocument {
    /// A text.
    Text(String),
    /// Fields, of which some are ranked.
    #[schema(value_type = Object)]
    Fields(Map<String, Value>),
}

/// Whether and which spans are returned.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
struct RelevantSpans {
    /// `enabled` or `disabled`.
    mode: String,
    /// Least score of a span, 0.1 by default.
    #[serde(default)]
    threshold: Option<f32>,
    /// Most spans of a document.
    #[serde(default)]
    max_spans: Option<usize>,
}

/// Scale of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Score {
    /// Sum of the best similarities of the query's tokens.
    Maxsim,
    /// Their mean, from 0 to 1.
    Mean,
}

/// Documents by their scores, best first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RerankResponse {
    /// Name of the answer.
    id: String,
    /// Model that encoded.
    model: String,
    /// Embeddings that were compared.
    usage: Usage,
    /// The documents.
    results: Vec<RerankResult>,
    /// Version of the API, and billed units, which are 0.
    #[schema(value_type = Object)]
    meta: Value,
}

/// Number of tokens of a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Usage {
    /// Embeddings of all texts.
    pub(super) prompt_tokens: usize,
    /// The same.
    pub(super) total_tokens: usize,
}

/// A document and its score.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RerankResult {
    /// Place of the document in the request.
    index: usize,
    /// Score.
    relevance_score: f32,
    /// The document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    document: Option<Value>,
    /// Parts of the text that the query matched, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    relevant_spans: Option<Vec<RelevantSpan>>,
}

/// Fields that tell the bodies of `/rerank` apart. Nothing is kept of the rest: embeddings are millions of numbers.
#[derive(Deserialize)]
struct RerankKind {
    #[serde(default)]
    query: Option<Box<RawValue>>,
    #[serde(default)]
    query_b64: Option<IgnoredAny>,
}

impl RerankKind {
    fn is_of_embeddings(&self) -> bool {
        match self.query.as_ref().map(|query| query.get()) {
            Some(query) => query.starts_with('['),
            None => self.query_b64.is_some(),
        }
    }
}

/// Defaults of a path.
#[derive(Clone, Copy)]
struct Path {
    version: &'static str,
    score: Score,
    has_documents: bool,
}

/// Ranks documents by MaxSim, as vLLM answers; of embeddings as next-plaid does.
#[utoipa::path(post, path = "/rerank", tag = "rerank", request_body = RerankRequest, responses(
    (status = 200, body = RerankResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn rerank(State(app): State<Arc<App>>, JsonBytes(body): JsonBytes) -> Result<Response> {
    let Json(kind) = Json::<RerankKind>::read(&app, body.clone()).await?;
    if kind.is_of_embeddings() {
        let Json(request) = Json::<PlaidRerankRequest>::read(&app, body).await?;
        let deadline = Instant::now() + app.config.timeout(None);
        let answer: PlaidRerankResponse = within(deadline, rerank_embeddings(&app, request)).await?;
        return Ok(axum::Json(answer).into_response());
    }
    let Json(request) = Json::read(&app, body).await?;
    let path = Path { version: "1", score: Score::Maxsim, has_documents: true };
    Ok(answer(&app, request, path).await?.into_response())
}

/// Ranks documents by MaxSim, as Jina, vLLM and Cohere's first API answer.
#[utoipa::path(post, path = "/v1/rerank", tag = "rerank", request_body = RerankRequest, responses(
    (status = 200, body = RerankResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn rerank_v1(
    State(app): State<Arc<App>>,
    Json(request): Json<RerankRequest>,
) -> Result<axum::Json<RerankResponse>> {
    answer(&app, request, Path { version: "1", score: Score::Maxsim, has_documents: true }).await
}

/// Ranks documents by mean MaxSim, as Cohere's second API answers.
#[utoipa::path(post, path = "/v2/rerank", tag = "rerank", request_body = RerankRequest, responses(
    (status = 200, body = RerankResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn rerank_v2(
    State(app): State<Arc<App>>,
    Json(request): Json<RerankRequest>,
) -> Result<axum::Json<RerankResponse>> {
    answer(&app, request, Path { version: "2", score: Score::Mean, has_documents: false }).await
}

/// The model of a name, or the server's.
pub(super) async fn model(app: &Arc<App>, name: Option<String>) -> Result<Arc<EncodeQueue>> {
    match routes::encode::model(app, name).await {
        Err(error) if error.code == "MODEL_NOT_LOADED" => routes::encode::model(app, None).await,
        model => model,
    }
}

async fn answer(app: &Arc<App>, request: RerankRequest, path: Path) -> Result<axum::Json<RerankResponse>> {
    let deadline = Instant::now() + app.config.timeout(None);
    let ranked = async {
        let texts = texts(&request)?;
        let model = model(app, request.model.clone()).await?;
        let scoring = maxsim::score_texts(app, &model, request.query.clone(), texts.clone(), deadline);
        let scored = scoring.await?;
        // Spans are computed, which is no work for an async thread.
        let write = move || response(model.encoder(), &request, &texts, &scored, path);
        app.reads.run(write).await?
    };
    within(deadline, ranked).await.map(axum::Json)
}

/// The texts that are ranked.
fn texts(request: &RerankRequest) -> Result<Vec<String>> {
    let text = |(at, document): (usize, &RerankDocument)| match (document, &request.rank_fields) {
        (RerankDocument::Text(text), _) => Ok(text.clone()),
        (RerankDocument::Fields(fields), None) => match fields.get("text").and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(ApiError::bad_request(format!("document {at} has no text; name fields in rank_fields"))),
        },
        (RerankDocument::Fields(fields), Some(names)) => {
            let line = |name: &String| match fields.get(name)? {
                Value::String(text) => Some(format!("{name}: {text}")),
                value => Some(format!("{name}: {value}")),
            };
            Ok(names.iter().filter_map(line).collect::<Vec<_>>().join("\n"))
        }
    };
    request.documents.iter().enumerate().map(text).collect()
}

fn response(
    encoder: &Encoder,
    request: &RerankRequest,
    texts: &[String],
    scored: &Scored,
    path: Path,
) -> Result<RerankResponse> {
    let top_n = request.top_n.filter(|&n| n > 0).unwrap_or(usize::MAX);
    let has_documents = request.return_documents.unwrap_or(path.has_documents);
    let spans = request.relevant_spans.as_ref().filter(|spans| spans.mode == "enabled");
    let of_query = spans.map(|_| tokens(encoder, &request.query, TextKind::Query, scored.query.len())).transpose()?;
    let mut results = Vec::new();
    for index in scored.order().into_iter().take(top_n) {
        let score = scored.scores[index];
        let relevant_spans = match (spans, &of_query) {
            (Some(spans), Some(of_query)) => {
                let query = Embedded { text: &request.query, rows: &scored.query, tokens: of_query };
                Some(relevant_spans(encoder, spans, &query, &texts[index], &scored.documents[index])?)
            }
            _ => None,
        };
        results.push(RerankResult {
            index,
            relevance_score: match request.score.unwrap_or(path.score) {
                Score::Maxsim => score,
                Score::Mean => scored.mean(score),
            },
            document: has_documents.then(|| match &request.documents[index] {
                RerankDocument::Text(text) => json!({"text": text}),
                RerankDocument::Fields(fields) => json!(fields),
            }),
            relevant_spans,
        });
    }
    let num_tokens = scored.num_tokens();
    Ok(RerankResponse {
        id: format!("rerank-{}", random_hex(16)?),
        model: encoder.model().to_owned(),
        usage: Usage { prompt_tokens: num_tokens, total_tokens: num_tokens },
        results,
        meta: json!({"api_version": {"version": path.version}, "billed_units": {"search_units": 0}}),
    })
}

/// Spans of a document as a request wants them.
fn relevant_spans(
    encoder: &Encoder,
    wanted: &RelevantSpans,
    query: &Embedded<'_>,
    text: &str,
    rows: &[f32],
) -> Result<Vec<RelevantSpan>> {
    let tokens = tokens(encoder, text, TextKind::Passage, rows.len())?;
    let mut spans = relevant(encoder.dim(), query, &Embedded { text, rows, tokens: &tokens });
    spans.retain(|span| span.score >= wanted.threshold.unwrap_or(SPAN_THRESHOLD));
    spans.truncate(wanted.max_spans.unwrap_or(usize::MAX));
    Ok(spans)
}

/// Tokens of a text with `len` components of embeddings; none if they cannot be paired.
fn tokens(encoder: &Encoder, text: &str, kind: TextKind, len: usize) -> Result<Vec<Token>> {
    let tokens = encoder.embedded_tokens(text, kind).map_err(selvedge::Error::from)?;
    let tokens: Vec<Token> = tokens.into_iter().map(|token| Token { kind: token.kind, span: token.span }).collect();
    Ok(if tokens.len() * encoder.dim() == len { tokens } else { Vec::new() })
}
