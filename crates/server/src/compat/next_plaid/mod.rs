//! The routes of next-plaid: `/health`, `/indices/...`, `/encode`, `/rerank_with_encoding`.
//!
//! Its documents are numbers; here they have ids. A document that is added over these routes gets the next number as
//! its id ([`numbers`]), so that both APIs see the same documents.
//!
//! | next-plaid | here |
//! |---|---|
//! | numbers move up when documents are deleted | a number stays with its document |
//! | metadata is a SQLite table | metadata is the document's own; conditions are [filters](condition) |
//! | keyword search over the metadata, FTS5 | BM25 over the texts, in an index that was made of texts |
//! | `alpha` weighs reciprocal ranks | `rrf` weighs both sides alike; `relative_score` has `alpha` |
//! | `n_ivf_probe` of the `n_full_scores` candidates | the same, but all passages if there are no more than those |
//! | `batch_size`, `seed`, `start_from_scratch`, `centroid_score_threshold` | no effect |
//! | `pool_factor` of a rerank | no effect: all embeddings are compared |
//! | `binary`, the tokenizer `trigram`, `REGEXP` | 400 `NOT_IMPLEMENTED` |
//! | `GET /` | the page of this server; `GET /health` is the same |

mod condition;
mod config;
mod documents;
mod encode;
mod indices;
mod input;
mod metadata;
mod numbers;
mod search;

pub(super) use encode::{InputType, PlaidRerankRequest, PlaidRerankResponse, rerank_embeddings};

use crate::encoding::EncodeQueue;
use crate::error::{ApiError, Result};
use crate::routes;
use crate::served::{Open, Served};
use crate::state::App;
use axum::Extension;
use axum::http::StatusCode;
use selvedge::SearchError;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Routes that read.
pub(super) fn reads() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(indices::health))
        .routes(routes!(indices::list_indices))
        .routes(routes!(indices::get_index))
        .routes(routes!(search::search_index))
        .routes(routes!(search::search_filtered))
        .routes(routes!(search::search_with_encoding))
        .routes(routes!(search::search_filtered_with_encoding))
        .routes(routes!(metadata::all_metadata))
        .routes(routes!(metadata::count_metadata))
        .routes(routes!(metadata::check_metadata))
        .routes(routes!(metadata::query_metadata))
        .routes(routes!(metadata::get_metadata))
        .routes(routes!(encode::encode_texts))
        .routes(routes!(encode::rerank_with_encoding))
}

/// Routes that change documents.
pub(super) fn writes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(documents::update))
        .routes(routes!(documents::add_documents, documents::delete_documents))
        .routes(routes!(documents::update_with_encoding))
        .routes(routes!(metadata::update_metadata))
        .layer(Extension(Arc::<numbers::Numbers>::default()))
}

/// Routes that create, configure and delete indexes.
pub(super) fn admin() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(indices::create_index))
        .routes(routes!(indices::delete_index))
        .routes(routes!(indices::update_config))
}

/// Error of a feature of next-plaid that this server does not have.
fn unsupported(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "NOT_IMPLEMENTED", message)
}

/// The index of a name, open. An index that is declared has no documents yet, and is not found, as in next-plaid.
fn open(app: &App, name: &str) -> Result<Arc<Open>> {
    opened(&*app.index(name)?)
}

/// An index, open.
fn opened(served: &Served) -> Result<Arc<Open>> {
    let no_documents = |error: ApiError| match error.code {
        "INDEX_EMPTY" => ApiError { status: StatusCode::NOT_FOUND, code: "INDEX_NOT_FOUND", ..error },
        _ => error,
    };
    served.open().map_err(no_documents)
}

/// The model of an index, or the server's model for an index of embeddings of the same dimension.
async fn model(app: &Arc<App>, open: &Open) -> Result<Arc<EncodeQueue>> {
    if let Some(model) = &open.model {
        return Ok(Arc::clone(model));
    }
    let model = routes::encode::model(app, None).await?;
    check_dim(open, model.encoder().dim())?;
    Ok(model)
}

/// Checks that embeddings fit an index.
fn check_dim(open: &Open, found: usize) -> Result<()> {
    let expected = open.engine.snapshot().index().dim();
    match expected == found {
        true => Ok(()),
        false => Err(SearchError::DimMismatch { expected, found }.into()),
    }
}

/// The factor of a request, by which embeddings are pooled.
fn pool_factor(factor: Option<usize>) -> Result<usize> {
    match factor.unwrap_or(1) {
        0 => Err(ApiError::bad_request("pool_factor is at least 1")),
        factor => Ok(factor),
    }
}
