//! Routes for operators: health, metrics, the description of the API.

use crate::auth::Role;
use crate::error::{ApiError, ErrorBody, Result};
use crate::state::App;
use crate::work::blocking;
use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whether the process is alive.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Object)))]
pub(crate) async fn live() -> axum::Json<Value> {
    axum::Json(json!({"status": "live", "version": env!("CARGO_PKG_VERSION")}))
}

/// Whether requests are answered: all indexes are open, and the server does not end.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses((status = 200, body = Object),
    (status = 503, body = ErrorBody)))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<axum::Json<Value>> {
    match app.is_ready.load(Ordering::Acquire) {
        true => Ok(axum::Json(json!({"status": "ready"}))),
        false => Err(ApiError::unavailable("the server starts, or ends")),
    }
}

/// The server's version and settings, and the client's role.
#[utoipa::path(get, path = "/v1/info", tag = "operations", responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody)))]
pub(crate) async fn info(State(app): State<Arc<App>>, Extension(role): Extension<Role>) -> axum::Json<Value> {
    axum::Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": app.device.to_string(),
        "model": app.config.model,
        "indexes": app.indexes().iter().map(|served| served.name.clone()).collect::<Vec<_>>(),
        "can_create": app.config.data.is_some() && role == Role::Admin,
        "role": role,
    }))
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, content_type = "text/plain", body = String), (status = "4XX", body = ErrorBody)))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse> {
    let text = blocking(move || crate::metrics::render(&app)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}
