//! `/score` and `/v1/score`: MaxSim of pairs of texts, as vLLM answers.
//!
//! One first text is paired with all second texts; several are paired one by one. The first is a query, the second a
//! document.

use super::maxsim;
use super::rerank::{Usage, model};
use crate::auth::random_hex;
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::encode::all;
use crate::routes::input::Json;
use crate::state::App;
use crate::tasks::now_ms;
use crate::work::within;
use axum::extract::State;
use selvedge::TextKind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// Pairs of texts.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct ScoreRequest {
    /// Model; the server's, if it does not have this one.
    #[serde(default)]
    model: Option<String>,
    /// Queries.
    #[serde(alias = "queries", alias = "data_1")]
    text_1: Texts,
    /// Documents.
    #[serde(alias = "documents", alias = "items", alias = "data_2")]
    text_2: Texts,
}

/// One text or several.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(super) enum Texts {
    /// One text.
    One(String),
    /// Several texts.
    Several(Vec<String>),
}

/// Scores of the pairs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ScoreResponse {
    /// Name of the answer.
    id: String,
    /// `list`.
    object: &'static str,
    /// Seconds since 1970.
    created: u64,
    /// Model that encoded.
    model: String,
    /// Scores in the order of the pairs.
    data: Vec<PairScore>,
    /// Embeddings that were compared.
    usage: Usage,
}

/// Score of a pair.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PairScore {
    /// Place of the pair in the request.
    index: usize,
    /// `score`.
    object: &'static str,
    /// MaxSim.
    score: f32,
}

impl Texts {
    /// The texts as a list.
    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Several(texts) => texts,
        }
    }
}

/// Scores pairs of texts by MaxSim.
#[utoipa::path(post, path = "/score", tag = "rerank", request_body = ScoreRequest, responses(
    (status = 200, body = ScoreResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn score(
    State(app): State<Arc<App>>,
    Json(request): Json<ScoreRequest>,
) -> Result<axum::Json<ScoreResponse>> {
    answer(&app, request).await
}

/// Scores pairs of texts by MaxSim.
#[utoipa::path(post, path = "/v1/score", tag = "rerank", request_body = ScoreRequest, responses(
    (status = 200, body = ScoreResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn score_v1(
    State(app): State<Arc<App>>,
    Json(request): Json<ScoreRequest>,
) -> Result<axum::Json<ScoreResponse>> {
    answer(&app, request).await
}

async fn answer(app: &Arc<App>, request: ScoreRequest) -> Result<axum::Json<ScoreResponse>> {
    let deadline = Instant::now() + app.config.timeout(None);
    let (queries, documents) = (request.text_1.list(), request.text_2.list());
    if queries.is_empty() || documents.is_empty() || queries.len() != 1 && queries.len() != documents.len() {
        let message =
            format!("{} first texts and {} second; give one and several, or as many", queries.len(), documents.len());
        return Err(ApiError::bad_request(message));
    }
    let scored = async {
        let model = model(app, request.model).await?;
        let dim = model.encoder().dim();
        let queries = all(app, &model, queries, TextKind::Query, deadline).await?;
        let documents = all(app, &model, documents, TextKind::Passage, deadline).await?;
        let num_tokens = (queries.iter().chain(&documents).map(Vec::len).sum::<usize>()) / dim;
        let scores = app.reads.run(move || scores(dim, &queries, documents)).await??;
        let score = |(index, score)| PairScore { index, object: "score", score };
        Ok(ScoreResponse {
            id: format!("score-{}", random_hex(16)?),
            object: "list",
            created: now_ms() / 1000,
            model: model.encoder().model().to_owned(),
            data: scores.into_iter().enumerate().map(score).collect(),
            usage: Usage { prompt_tokens: num_tokens, total_tokens: num_tokens },
        })
    };
    within(deadline, scored).await.map(axum::Json)
}

/// MaxSim of one query with all documents, or of each with its own.
fn scores(dim: usize, queries: &[Vec<f32>], documents: Vec<Vec<f32>>) -> Result<Vec<f32>> {
    if let [query] = queries {
        return maxsim::maxsim(dim, query, &documents);
    }
    let mut scores = Vec::with_capacity(documents.len());
    for (query, document) in queries.iter().zip(documents) {
        scores.extend(maxsim::maxsim(dim, query, &[document])?);
    }
    Ok(scores)
}
