//! Gate that every request passes before it reaches a route: limits, origins, keys, metrics.

use crate::auth::{self, Role};
use crate::error::{ApiError, Result};
use crate::{Config, trace};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tracing::Instrument;

/// Name of the header of a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts the gate before all routes: limits, origins, panics, metrics, ids of requests.
pub(crate) fn around(router: Router, config: &Arc<Config>) -> Router {
    let limit = Arc::new(Semaphore::new(config.max_requests));
    let mut router = router
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such route") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this route has other methods")
        })
        .layer(middleware::from_fn_with_state(limit, shed))
        .layer(middleware::from_fn_with_state(Arc::clone(config), check_origin));
    if !config.cors_origins.is_empty() {
        router = router.layer(cors(&config.cors_origins));
    }
    router
        .layer(CatchPanicLayer::custom(|_| ApiError::internal("the server failed at this request").into_response()))
        .layer(middleware::from_fn(measure))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// The state of [`authorize`]: the keys, and the least role.
type Needs = (Arc<Config>, Role);

/// Lets a request pass if its key has the role; notes the role.
pub(crate) async fn authorize(
    State((config, least)): State<Needs>,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    let role = auth::role(&config.keys, request.headers())?;
    if role < least {
        let message = format!("this key may not do that: it needs the role {least:?}").to_lowercase();
        return Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    request.extensions_mut().insert(role);
    Ok(next.run(request).await)
}

/// Refuses requests beyond the number that the server answers at a time.
async fn shed(State(limit): State<Arc<Semaphore>>, request: Request, next: Next) -> Result<Response> {
    // Whoever asks whether the server lives must be told under any load.
    if request.uri().path().starts_with("/health/") || request.uri().path() == "/metrics" {
        return Ok(next.run(request).await);
    }
    let _place = limit.try_acquire().map_err(|_| ApiError::unavailable("too many requests at a time; try again"))?;
    Ok(next.run(request).await)
}

/// Refuses what pages of other sites send: a browser names their origin.
async fn check_origin(State(config): State<Arc<Config>>, request: Request, next: Next) -> Result<Response> {
    origin_is_allowed(&config, &request)?;
    Ok(next.run(request).await)
}

fn origin_is_allowed(config: &Config, request: &Request) -> Result<()> {
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if request.headers().get(header::HOST).is_some_and(|host| host.to_str().is_err()) {
        return Err(ApiError::bad_request("the header Host is no text"));
    }
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if let Some(origin) = text(header::ORIGIN) {
        let is_own = origin.split_once("://").map(|(_, rest)| rest) == host;
        let is_listed = config.cors_origins.iter().any(|listed| listed == "*" || listed == origin);
        if !is_own && !is_listed {
            let message = format!("pages of {origin} may not call this server; list it in cors_origins");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "OTHER_ORIGIN", message));
        }
    }
    // A site whose name leads to this machine is not this server: without keys, it could ask anything.
    let is_local = config.listen.ip().is_loopback() && config.keys.is_empty();
    let own = config.listen.ip().to_string();
    let is_own = |name: &str| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == own || matches!(&*name, "localhost" | "127.0.0.1" | "[::1]")
    };
    if is_local && !host.map(without_port).is_none_or(is_own) {
        let message = "this server answers to localhost; to be called by another name, it needs keys";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "OTHER_HOST", message));
    }
    Ok(())
}

/// The name of a host: what comes before its port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Not within the brackets of an IPv6 address, and nothing but a number.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Answers pages of the listed origins.
fn cors(origins: &[String]) -> CorsLayer {
    let named = ["x-api-key", "mcp-protocol-version", "mcp-method", "mcp-name"].map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION].into_iter().chain(named).collect::<Vec<_>>())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER]);
    match origins.iter().any(|origin| origin == "*") {
        true => layer.allow_origin(Any),
        false => {
            layer.allow_origin(origins.iter().filter_map(|origin| origin.parse().ok()).collect::<Vec<HeaderValue>>())
        }
    }
}

/// Counts and logs each request.
async fn measure(request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The route, not the path: names of indexes would make a time series each.
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let id = request.headers().get(REQUEST_ID).cloned();
    let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let span = trace::request(&method, &route, id, request.headers());
    let response = next.run(request).instrument(span.clone()).await;
    let (status, time) = (response.status(), started.elapsed());
    trace::answered(&span, status);
    let labels = [("route", route), ("status", status.as_u16().to_string())];
    ::metrics::counter!("selvedge_http_requests_total", &labels).increment(1);
    ::metrics::histogram!("selvedge_http_request_seconds", &labels[..1]).record(time.as_secs_f64());
    let ms = (time.as_secs_f64() * 1e6).round() / 1e3;
    tracing::info!(target: "selvedge_server::requests", %method, path, status = status.as_u16(), ms, id);
    response
}
