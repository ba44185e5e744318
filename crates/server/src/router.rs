//! All routes of a server.

use crate::auth::Role;
use crate::routes::{documents, encode, events, explain, indexes, operations, search, tasks};
use crate::shards::routes as shard;
use crate::state::App;
use crate::{compat, gate, mcp, metrics, page};
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Json, Router, middleware};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
pub(crate) struct Keys;

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
    let config = Arc::new(app.config.clone());
    let needs = |role| middleware::from_fn_with_state((Arc::clone(&config), role), gate::authorize);
    let reads = OpenApiRouter::new()
        .routes(routes!(indexes::list))
        .routes(routes!(indexes::get))
        .routes(routes!(indexes::columns))
        .routes(routes!(documents::get))
        .routes(routes!(search::search))
        .routes(routes!(explain::explain))
        .routes(routes!(encode::encode))
        .routes(routes!(shard::statistics))
        .routes(routes!(shard::rank))
        .routes(routes!(shard::output))
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
    let router = router
        .route("/openapi.json", get(|| async move { Json(api) }))
        .route("/", get(page::index))
        .route("/page/{name}", get(page::file))
        .merge(mcp::routes(app).route_layer(needs(Role::Read)))
        .with_state(Arc::clone(app));
    gate::around(router, &config)
}
