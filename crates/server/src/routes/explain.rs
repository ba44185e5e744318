//! Explanation of one document.

use super::input::{EmbeddingsInput, Json, Path};
use super::search::query;
use crate::error::{ApiError, ErrorBody, Result};
use crate::state::App;
use axum::extract::State;
use selvedge::{Explanation, RankBy};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// A request to explain a document.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExplainRequest {
    /// Text of the query.
    query: Option<String>,
    /// Embeddings of the query, instead of a text or with it.
    embeddings: Option<EmbeddingsInput>,
    /// Id of the document.
    id: String,
    /// Longest time in milliseconds.
    timeout_ms: Option<u64>,
}

/// Explanation of a document's score.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ExplainResponse {
    /// Id of the document.
    id: String,
    /// Text of the document, if the index stores texts.
    text: Option<String>,
    /// Tokens, matches, words and similarities.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    explanation: Explanation,
}

/// Explains the score of a document for a query.
#[utoipa::path(
    post, path = "/v1/indexes/{name}/explain", tag = "search", request_body = ExplainRequest,
    params(("name" = String, Path, description = "Name of the index")),
    responses((status = 200, body = ExplainResponse), (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody))
)]
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<ExplainRequest>,
) -> Result<axum::Json<ExplainResponse>> {
    let deadline = Instant::now() + app.config.timeout(request.timeout_ms);
    let open = app.index(&name)?.open()?;
    let ExplainRequest { query: text, embeddings, id, .. } = request;
    let rows = query(&open, text.as_deref(), embeddings, RankBy::MaxSim, deadline).await?;
    let explained = app.reads.run(move || {
        let snapshot = open.engine.snapshot();
        let index = snapshot.index();
        let pid = index.pid(&id).map_err(selvedge::Error::from)?.ok_or_else(|| ApiError::no_document(&id))?;
        let explanation = open.engine.explain(&snapshot, &rows, text.as_deref(), pid)?;
        let has_text = index.encoder().is_some();
        let document = index.document(pid).map_err(selvedge::Error::from)?;
        Ok::<_, ApiError>(ExplainResponse { id, text: has_text.then_some(document.text), explanation })
    });
    match tokio::time::timeout_at(deadline.into(), explained).await {
        Ok(answer) => Ok(axum::Json(answer??)),
        Err(_) => Err(ApiError::timed_out()),
    }
}
