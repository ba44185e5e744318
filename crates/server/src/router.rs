//! All routes, and what every request passes before it reaches one.

use crate::auth::{self, Role};
use crate::error::{ApiError, Result};
use crate::routes::{documents, encode, events, explain, indexes, operations, search, tasks};
use crate::state::App;
use crate::{compat, mcp, metrics, page, trace};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tracing::Instrument;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Name of the header of a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "selvedge",
        description = "Late-interaction retrieval: indexes that live, search, explanations.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    // The empty one: a server without keys asks for none.
    security(("bearer" = []), ("key" = []), ()),
    modifiers(&Keys)
)]
struct Api;

/// Describes how requests carry a key.
struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    }
}

/// Makes the service of a server.
pub fn router(app: &Arc<App>) -> Router {
    metrics::start();
    let needs = |role| middleware::from_fn_with_state((Arc::clone(app), role), authorize);
    let reads = OpenApiRouter::new()
        .routes(routes!(indexes::list))
        .routes(routes!(indexes::get))
        .routes(routes!(indexes::columns))
        .routes(routes!(documents::get))
        .routes(routes!(search::search))
        .routes(routes!(explain::explain))
        .routes(routes!(encode::encode))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::get))
        .routes(routes!(events::task))
        .routes(routes!(events::changes))
        .routes(routes!(operations::info))
        .routes(routes!(operations::metrics))
        .merge(compat::reads())
        .route_layer(needs(Role::Read));
    let writes = OpenApiRouter::new()
        .routes(routes!(documents::add))
        .routes(routes!(documents::delete))
        .routes(routes!(indexes::compact))
        .routes(routes!(tasks::cancel))
        .merge(compat::writes())
        .route_layer(needs(Role::Write));
    let streams = OpenApiRouter::new()
        .routes(routes!(documents::bulk))
        // A stream is read line by line, and each line is limited.
        .layer(DefaultBodyLimit::disable())
        .route_layer(needs(Role::Write));
    let admin = OpenApiRouter::new()
        .routes(routes!(indexes::create))
        .routes(routes!(indexes::delete))
        .merge(compat::admin())
        .route_layer(needs(Role::Admin));
    let open = OpenApiRouter::new().routes(routes!(operations::live)).routes(routes!(operations::ready));
    let (router, api) = OpenApiRouter::with_openapi(Api::openapi())
        .merge(reads)
        .merge(writes)
        .merge(admin)
        .merge(open)
        .layer(DefaultBodyLimit::max(app.config.max_body))
        .merge(streams)
        .split_for_parts();
    let limit = Arc::new(Semaphore::new(app.config.max_requests));
    let mut router = router
        .route("/openapi.json", get(|| async move { Json(api) }))
        .route("/", get(page::index))
        .route("/page/{name}", get(page::file))
        .merge(mcp::routes(app).route_layer(needs(Role::Read)))
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such route") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this route has other methods")
        })
        .with_state(Arc::clone(app))
        .layer(middleware::from_fn_with_state(limit, shed))
        .layer(middleware::from_fn_with_state(Arc::clone(app), check_origin));
    if !app.config.cors_origins.is_empty() {
        router = router.layer(cors(&app.config.cors_origins));
    }
    router
        .layer(CatchPanicLayer::custom(|_| ApiError::internal("the server failed at this request").into_response()))
        .layer(middleware::from_fn(measure))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// The state of [`authorize`]: the keys, and the least role.
type Needs = (Arc<App>, Role);

/// Lets a request pass if its key has the role; notes the role.
async fn authorize(State((app, least)): State<Needs>, mut request: Request, next: Next) -> Result<Response> {
    let role = auth::role(&app.config.keys, request.headers())?;
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
async fn check_origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response> {
    origin_is_allowed(&app, &request)?;
    Ok(next.run(request).await)
}

fn origin_is_allowed(app: &App, request: &Request) -> Result<()> {
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if request.headers().get(header::HOST).is_some_and(|host| host.to_str().is_err()) {
        return Err(ApiError::bad_request("the header Host is no text"));
    }
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if let Some(origin) = text(header::ORIGIN) {
        let is_own = origin.split_once("://").map(|(_, rest)| rest) == host;
        let is_listed = app.config.cors_origins.iter().any(|listed| listed == "*" || listed == origin);
        if !is_own && !is_listed {
            let message = format!("pages of {origin} may not call this server; list it in cors_origins");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "OTHER_ORIGIN", message));
        }
    }
    // A site whose name leads to this machine is not this server: without keys, it could ask anything.
    let is_local = app.config.listen.ip().is_loopback() && app.config.keys.is_empty();
    let own = app.config.listen.ip().to_string();
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
