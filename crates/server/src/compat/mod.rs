//! Routes of other servers, so that their clients run unchanged: next-plaid's, the rerank family, vLLM's pooling.
//!
//! | routes | clients |
//! |---|---|
//! | [`next_plaid`]: `/health`, `/indices/...`, `/encode`, `/rerank_with_encoding` | next-plaid-client, langchain-plaid |
//! | [`rerank`]: `/rerank`, `/v1/rerank`, `/v2/rerank` | Cohere, Jina, vLLM, next-plaid-client |
//! | [`score`]: `/score`, `/v1/score` | vLLM |
//! | [`pooling`]: `/pooling` | vLLM |
//!
//! They stand on what the native routes stand on: the same queues, the same deadlines, the same errors. Fields that
//! they do not know are ignored, as those servers do.

mod maxsim;
mod next_plaid;
mod pooling;
mod rerank;
mod score;
mod spans;

use crate::state::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Routes that read.
pub(crate) fn reads() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(next_plaid::reads())
        .routes(routes!(rerank::rerank))
        .routes(routes!(rerank::rerank_v1))
        .routes(routes!(rerank::rerank_v2))
        .routes(routes!(score::score))
        .routes(routes!(score::score_v1))
        .routes(routes!(pooling::pooling))
}

/// Routes that change documents.
pub(crate) fn writes() -> OpenApiRouter<Arc<App>> {
    next_plaid::writes()
}

/// Routes that create, configure and delete indexes.
pub(crate) fn admin() -> OpenApiRouter<Arc<App>> {
    next_plaid::admin()
}
