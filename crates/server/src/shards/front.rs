//! Routes of a router: the server's own, as far as a collection in shards has them.

use super::call::{Caller, Collection, Phase, Shard};
use super::collections::Collections;
use super::error::{CallError, FailedShard, Result, RouterError, shards_failed};
use super::fan::{parsed, text_of};
use super::phases::{self, RouterResponse};
use super::query::{self, to_json};
use super::sums;
use super::tables::Source;
use crate::auth::Role;
use crate::error::{ApiError, ErrorBody};
use crate::gate;
use crate::listen::{self, Serving};
use crate::router::Keys;
use crate::routes::encode::{EncodeRequest, EncodeResponse};
use crate::routes::input::Json;
use crate::routes::search_bodies::SearchRequest;
use crate::{Config, metrics, work};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, RawQuery, State};
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{any, delete, get, post};
use axum::{Router, middleware};
use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Settings of a router.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Settings that a router shares with a server: addresses, TLS, keys and limits.
    pub server: Config,
    /// Tables of the collections; files are read again after `server.follow_ms` if they have changed.
    pub tables: Vec<Source>,
    /// Least time in milliseconds after which a slow shard is asked again, on another replica.
    pub hedge_ms: f64,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self { server: Config::default(), tables: Vec::new(), hedge_ms: 5.0 }
    }
}

/// State that all requests share.
struct Front {
    config: Arc<Config>,
    collections: Collections,
    caller: Caller,
    is_ending: AtomicBool,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "selvedge router",
        description = "Collections in shards on several servers, searched as one index.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    security(("bearer" = []), ("key" = []), ()),
    modifiers(&Keys)
)]
struct Api;

/// A document by its id.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct IdQuery {
    /// Id of the document.
    id: String,
}

/// A search, with the field that routers alone know.
#[derive(Deserialize, utoipa::ToSchema)]
#[allow(dead_code)] // only described
struct RouterRequest {
    /// The search of one index.
    #[serde(flatten)]
    search: SearchRequest,
    /// Whether an answer may lack shards; it names them. Otherwise such an answer is an error.
    partial: Option<bool>,
}

/// Routes requests to the shards of collections until `end` resolves; then answers the ones that are open.
///
/// `started` is called with the address once requests are accepted.
///
/// # Errors
/// If a setting, a certificate or the address cannot be used. Shards need not be there yet.
pub async fn route(
    config: RouterConfig,
    started: impl FnOnce(SocketAddr),
    end: impl Future<Output = ()>,
) -> crate::Result<()> {
    let front = tokio::task::spawn_blocking(|| Front::new(config));
    let front = Arc::new(front.await.map_err(|error| ApiError::internal(error.to_string()))??);
    let tls = listen::tls(&front.config)?;
    let address = front.config.listen;
    let unusable = |error| ApiError::bad_request(format!("{address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let (ends, ending) = watch::channel(false);
    let serving = Arc::new(Serving { config: Arc::clone(&front.config), ends: ending });
    let upkeep = tokio::spawn(upkeep(Arc::clone(&front)));
    started(address);
    let of_end = Arc::clone(&front);
    let ended = async {
        end.await;
        of_end.is_ending.store(true, Ordering::Release);
        ends.send_replace(true);
    };
    listen::serve(listener, router(&front), tls, &serving, ended).await;
    upkeep.abort();
    Ok(())
}

/// Follows the files of the tables, and tidies up metrics, from time to time.
async fn upkeep(front: Arc<Front>) {
    let pause = Duration::from_millis(if front.config.follow_ms == 0 { 1000 } else { front.config.follow_ms });
    loop {
        tokio::time::sleep(pause).await;
        metrics::start().run_upkeep();
        if front.config.follow_ms > 0 {
            let front = Arc::clone(&front);
            if let Err(error) = work::blocking(move || front.collections.refresh()).await {
                tracing::error!("tables are not followed: {error}");
            }
        }
    }
}

impl Front {
    fn new(config: RouterConfig) -> crate::Result<Self> {
        let RouterConfig { server, tables, hedge_ms } = config;
        server.check()?;
        let collections = Collections::read(tables)?;
        let floor = Duration::try_from_secs_f64(hedge_ms / 1e3);
        let floor = floor.map_err(|_| ApiError::bad_request(format!("hedge_ms: {hedge_ms} is no time")))?;
        let (config, caller) = (Arc::new(server.limited()), Caller::new(floor));
        Ok(Self { config, collections, caller, is_ending: AtomicBool::new(false) })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.config.timeout(None)
    }

    /// The error of a write, which says where writes go.
    fn read_only(&self, name: &str) -> RouterError {
        let Ok(collection) = self.collections.get(name) else { return ApiError::no_index(name).into() };
        let shard = |shard: &Shard| {
            let bases: Vec<&str> = shard.replicas.iter().map(|replica| &*replica.base).collect();
            format!("shard {} is index {:?} on {}", shard.number, shard.index, bases.join(", "))
        };
        let places: Vec<String> = collection.shards.iter().map(shard).collect();
        let message = format!("a router changes nothing: write to the servers of the shards ({})", places.join("; "));
        ApiError::new(StatusCode::FORBIDDEN, "READ_ONLY", message).into()
    }
}

/// Makes the service of a router.
fn router(front: &Arc<Front>) -> Router {
    metrics::start();
    let needs = |role| middleware::from_fn_with_state((Arc::clone(&front.config), role), gate::authorize);
    let reads = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(describe))
        .routes(routes!(search))
        .routes(routes!(encode))
        .routes(routes!(scrape))
        .routes(routes!(document))
        .route_layer(needs(Role::Read));
    let writes = OpenApiRouter::new()
        .route("/v1/indexes", post(create))
        .route("/v1/indexes/{name}", delete(write))
        .route("/v1/indexes/{name}/documents", post(write))
        .route("/v1/indexes/{name}/{change}", any(write))
        .route_layer(needs(Role::Read));
    let open = OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready));
    let (router, api) = OpenApiRouter::with_openapi(Api::openapi())
        .merge(reads)
        .merge(writes)
        .merge(open)
        .layer(DefaultBodyLimit::max(front.config.max_body))
        .split_for_parts();
    let router = router.route("/openapi.json", get(|| async move { axum::Json(api) })).with_state(Arc::clone(front));
    gate::around(router, &front.config)
}

/// Collections, each as an index with the sums of its shards; one that lacks shards is broken.
#[utoipa::path(get, path = "/v1/indexes", tag = "indexes", responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
async fn list(State(front): State<Arc<Front>>) -> Result<axum::Json<Value>> {
    let (deadline, all) = (front.deadline(), front.collections.all());
    let info = |collection: &Arc<Collection>| {
        let (caller, collection) = (&front.caller, Arc::clone(collection));
        async move {
            let info = sums::info(caller, &collection, deadline).await;
            info.unwrap_or_else(|error| sums::broken(&collection.name, &error))
        }
    };
    Ok(axum::Json(json!({"indexes": join_all(all.values().map(info)).await})))
}

/// A collection, as an index with the sums of its shards.
#[utoipa::path(get, path = "/v1/indexes/{name}", tag = "indexes",
    params(("name" = String, Path, description = "Name of the collection")), responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
async fn describe(State(front): State<Arc<Front>>, Path(name): Path<String>) -> Result<axum::Json<Value>> {
    let collection = front.collections.get(&name)?;
    Ok(axum::Json(sums::info(&front.caller, &collection, front.deadline()).await?))
}

/// Searches all shards of a collection. The answer is that of one index, and names the shards that it lacks.
#[utoipa::path(post, path = "/v1/indexes/{name}/search", tag = "search", request_body = RouterRequest,
    params(("name" = String, Path, description = "Name of the collection")),
    responses((status = 200, body = RouterResponse), (status = "4XX", body = ErrorBody),
        (status = 503, body = ErrorBody, description = "SHARDS_FAILED: shards did not answer"),
        (status = "5XX", body = ErrorBody)))]
async fn search(
    State(front): State<Arc<Front>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<axum::Json<RouterResponse>> {
    let collection = front.collections.get(&name)?;
    let query = query::read(&body, |ms| front.config.timeout(ms))?;
    let deadline = query.deadline;
    let search = phases::search(&front.caller, &collection, query);
    let answer = tokio::time::timeout_at(deadline.into(), search).await;
    Ok(axum::Json(answer.unwrap_or_else(|_| Err(ApiError::timed_out().into()))?))
}

/// A document by its id, from the shard that has it.
#[utoipa::path(get, path = "/v1/indexes/{name}/documents", tag = "documents",
    params(("name" = String, Path, description = "Name of the collection"), IdQuery), responses(
    (status = 200, body = Object), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
async fn document(
    State(front): State<Arc<Front>>,
    Path(name): Path<String>,
    Query(IdQuery { id }): Query<IdQuery>,
    RawQuery(parameters): RawQuery,
) -> Result<impl IntoResponse> {
    let collection = front.collections.get(&name)?;
    let parameters = parameters.unwrap_or_default();
    let found = sums::document(&front.caller, &collection, &parameters, &id, front.deadline()).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], found))
}

/// Encodes texts, by the first shard that can.
#[utoipa::path(post, path = "/v1/encode", tag = "encode", request_body = EncodeRequest, responses(
    (status = 200, body = EncodeResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
async fn encode(State(front): State<Arc<Front>>, body: Bytes) -> Result<impl IntoResponse> {
    let Json(mut fields) = Json::<BTreeMap<String, Box<RawValue>>>::from_bytes(&body)?;
    let named = fields.get("index").map(|name| serde_json::from_str::<String>(name.get()));
    let collection = match named {
        Some(Ok(name)) => front.collections.get(&name)?,
        Some(Err(_)) => return Err(ApiError::bad_request("index is not a name").into()),
        None => match front.collections.all().values().next() {
            Some(collection) => Arc::clone(collection),
            None => return Err(ApiError::unavailable("there is no collection").into()),
        },
    };
    let is_named = fields.contains_key("index") || !fields.contains_key("model");
    let (deadline, mut failed) = (front.deadline(), Vec::new());
    for shard in collection.up_first() {
        if is_named {
            let index = serde_json::value::to_raw_value(&shard.index);
            fields.insert("index".into(), index.map_err(|error| ApiError::internal(error.to_string()))?);
        }
        let call = collection.call(Method::POST, "/v1/encode".into(), to_json(&fields)?);
        let is_json = |body: Bytes| parsed::<IgnoredAny>(&body).map(|_| body.clone());
        match front.caller.ask(shard, Phase::Encode, &call, None, deadline, is_json).await {
            Ok(answered) => return Ok(([(header::CONTENT_TYPE, "application/json")], answered.value)),
            Err(CallError::Refused(status, body)) => return Err(RouterError::OfShard(status, body)),
            Err(error) => failed.push(FailedShard { shard: shard.number, error: text_of(error) }),
        }
    }
    Err(shards_failed(&failed, collection.shards.len()))
}

/// Refuses a new index.
async fn create() -> Result<()> {
    let message = "a router changes nothing: create indexes on the servers of the shards, and name them in its file";
    Err(ApiError::new(StatusCode::FORBIDDEN, "READ_ONLY", message).into())
}

/// Refuses a change of a collection.
async fn write(State(front): State<Arc<Front>>, Path(path): Path<BTreeMap<String, String>>) -> Result<()> {
    let change = path.get("change").map_or("documents", String::as_str);
    match change {
        "documents" | "bulk" | "delete" | "compact" => {
            Err(front.read_only(path.get("name").map_or("", String::as_str)))
        }
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "a router has no such route").into()),
    }
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Object)))]
async fn live() -> axum::Json<Value> {
    axum::Json(json!({"status": "live", "version": env!("CARGO_PKG_VERSION")}))
}

/// Whether requests are answered, if only in part: a shard of some collection has a replica that has not failed just
/// now. `down` has the others.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses((status = 200, body = Object),
    (status = 503, body = ErrorBody)))]
async fn ready(State(front): State<Arc<Front>>) -> Result<axum::Json<Value>> {
    if front.is_ending.load(Ordering::Acquire) {
        return Err(ApiError::unavailable("the router ends").into());
    }
    let (all, mut down, mut count) = (front.collections.all(), Vec::new(), 0);
    for collection in all.values() {
        count += collection.shards.len();
        let of_collection = collection.shards.iter().filter(|shard| !shard.is_up());
        down.extend(of_collection.map(|shard| json!({"index": collection.name, "shard": shard.number})));
    }
    match down.len() == count {
        false => Ok(axum::Json(json!({"status": "ready", "down": down}))),
        true => Err(ApiError::unavailable("no shard has a replica that answers").with(json!(down)).into()),
    }
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, content_type = "text/plain", body = String), (status = "4XX", body = ErrorBody)))]
async fn scrape() -> Result<impl IntoResponse> {
    let text = work::blocking(|| metrics::start().render()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}
