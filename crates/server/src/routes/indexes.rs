//! Indexes: list, create, describe, delete, merge.

use super::input::{Json, Path};
use crate::changes;
use crate::error::{ApiError, ErrorBody, Result};
use crate::served::Served;
use crate::settings::IndexSettings;
use crate::state::App;
use crate::tasks::{TaskInfo, TaskKind};
use crate::work::blocking;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An index.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct IndexInfo {
    /// Name.
    pub(crate) name: String,
    /// `empty` before the first documents, then `ready`; `broken` if its files cannot be opened.
    #[schema(example = "ready")]
    pub(crate) state: &'static str,
    /// Reason why it is broken.
    pub(crate) error: Option<String>,
    /// Generation; 0 in an empty index.
    pub(crate) generation: u32,
    /// Passages.
    pub(crate) passages: u32,
    /// Deleted passages whose bytes are not freed yet.
    deleted: u32,
    /// Embeddings.
    tokens: u64,
    /// Segments.
    segments: usize,
    /// Components of an embedding.
    dim: Option<usize>,
    /// Bits per residual component.
    nbits: Option<u8>,
    /// Centroids.
    centroids: usize,
    /// Model of the texts; null in an index of embeddings.
    model: Option<String>,
    /// Language of the words; null without words.
    #[schema(value_type = Option<String>)]
    language: Value,
    /// Bytes on disk.
    bytes: u64,
    /// Bytes per embedding of all that a search reads.
    bytes_per_vector: Option<f64>,
    /// Keys of the metadata.
    pub(crate) metadata_keys: Vec<String>,
    /// Writes that wait or run.
    waiting_writes: usize,
    /// Tasks that wait or run.
    pub(crate) tasks: Vec<TaskInfo>,
}

/// All indexes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct IndexList {
    /// Indexes by name.
    indexes: Vec<IndexInfo>,
}

/// A new index.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRequest {
    /// Name: letters, digits, `.`, `_` and `-`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    name: String,
    /// Model of its texts; the model of the server by default.
    model: Option<String>,
    /// Bits per residual component: 0, 1, 2, 4 or 8.
    nbits: Option<u8>,
    /// Language of the words for BM25, or `none`.
    language: Option<String>,
    /// Factor by which tokens are pooled.
    pool: Option<usize>,
    /// Components of an embedding, of an index without a model.
    dim: Option<usize>,
}

/// Whether another codec is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Retraining {
    /// If the index has sixteen times the tokens that its codec was trained for.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// How segments are merged.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CompactRequest {
    /// Whether another codec is trained on all passages.
    retrain: Retraining,
}

/// Describes an index. Reads the directory of its columns, no more.
pub(crate) fn info(app: &App, served: &Served) -> IndexInfo {
    let tasks = app.tasks.list(Some(&served.name));
    let empty = IndexInfo {
        name: served.name.clone(),
        state: "empty",
        error: None,
        generation: 0,
        passages: 0,
        deleted: 0,
        tokens: 0,
        segments: 0,
        dim: served.settings.dim,
        nbits: served.settings.nbits,
        centroids: 0,
        model: served.settings.model.clone(),
        language: json!(served.settings.language),
        bytes: 0,
        bytes_per_vector: None,
        metadata_keys: Vec::new(),
        waiting_writes: served.waiting_writes(),
        tasks: tasks.into_iter().filter(|task| !task.state.is_end()).collect(),
    };
    let open = match served.open() {
        Ok(open) => open,
        Err(error) if error.code == "INDEX_EMPTY" => return empty,
        Err(error) => return IndexInfo { state: "broken", error: Some(error.message), ..empty },
    };
    let snapshot = open.engine.snapshot();
    let (index, manifest) = (snapshot.index(), snapshot.index().manifest());
    // The directories of the columns alone: their values may be many.
    let columns = index.segments().iter().filter_map(|segment| segment.columns.as_ref());
    let metadata_keys: BTreeSet<String> = columns.flat_map(|columns| columns.infos()).map(|info| info.key).collect();
    IndexInfo {
        state: "ready",
        generation: index.generation(),
        passages: index.num_passages(),
        deleted: index.num_pids() - index.num_passages(),
        tokens: index.num_tokens(),
        segments: index.segments().len(),
        dim: Some(manifest.codec.dim),
        nbits: Some(manifest.codec.nbits),
        centroids: manifest.codec.num_centroids,
        model: index.encoder().map(|encoder| encoder.model.clone()),
        language: json!(manifest.language),
        bytes: index.bytes_on_disk().values().sum(),
        bytes_per_vector: (index.num_tokens() > 0).then(|| index.bytes_per_vector()),
        metadata_keys: metadata_keys.into_iter().collect(),
        ..empty
    }
}

/// Lists all indexes.
#[utoipa::path(get, path = "/v1/indexes", tag = "indexes", responses((status = 200, body = IndexList),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<axum::Json<IndexList>> {
    Ok(axum::Json(IndexList { indexes: all(&app).await? }))
}

/// Describes all indexes.
pub(crate) async fn all(app: &Arc<App>) -> Result<Vec<IndexInfo>> {
    let all = Arc::clone(app);
    blocking(move || all.indexes().iter().map(|served| info(&all, served)).collect()).await
}

/// Creates an index without documents.
#[utoipa::path(post, path = "/v1/indexes", tag = "indexes", request_body = CreateRequest, responses(
    (status = 201, body = IndexInfo), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Json(request): Json<CreateRequest>,
) -> Result<(StatusCode, axum::Json<IndexInfo>)> {
    let CreateRequest { name, model, nbits, language, pool, dim } = request;
    let settings = IndexSettings { model, nbits, language, pool, dim, folder: None };
    let all = Arc::clone(&app);
    // The settings are written to disk.
    let created = blocking(move || all.create(&name, settings).map(|served| info(&all, &served)));
    Ok((StatusCode::CREATED, axum::Json(created.await??)))
}

/// Describes an index.
#[utoipa::path(get, path = "/v1/indexes/{name}", tag = "indexes",
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = IndexInfo),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn get(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<axum::Json<IndexInfo>> {
    let served = app.index(&name)?;
    let all = Arc::clone(&app);
    Ok(axum::Json(blocking(move || info(&all, &served)).await?))
}

/// Deletes an index and its files.
#[utoipa::path(delete, path = "/v1/indexes/{name}", tag = "indexes",
    params(("name" = String, Path, description = "Name of the index")), responses((status = 204),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn delete(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<StatusCode> {
    app.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the keys of the metadata with their kinds and sizes.
#[utoipa::path(get, path = "/v1/indexes/{name}/columns", tag = "indexes",
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn columns(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<axum::Json<Value>> {
    let open = app.index(&name)?.open()?;
    let columns = app.reads.run(move || open.engine.snapshot().index().columns()).await?;
    Ok(axum::Json(json!({"columns": columns.map_err(selvedge::Error::from)?})))
}

/// Merges the segments of an index, as a task.
#[utoipa::path(post, path = "/v1/indexes/{name}/compact", tag = "indexes", request_body = CompactRequest,
    params(("name" = String, Path, description = "Name of the index")), responses((status = 202, body = TaskInfo),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn compact(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<CompactRequest>,
) -> Result<(StatusCode, axum::Json<TaskInfo>)> {
    let served = app.index(&name)?;
    served.may_be_open()?;
    let work =
        move |app: &App, served: &Served, task: &crate::tasks::Task| changes::merge(app, served, task, request.retrain);
    let task = served.queue_write(&app, TaskKind::Compact, work)?;
    Ok((StatusCode::ACCEPTED, axum::Json(task.info())))
}

impl From<selvedge::IndexError> for ApiError {
    fn from(error: selvedge::IndexError) -> Self {
        selvedge::Error::from(error).into()
    }
}
