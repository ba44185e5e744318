//! Metadata: look up, find, count, change.

use super::documents::found;
use super::numbers::{self, number};
use super::search::with_number;
use super::{condition, open, opened, unsupported};
use crate::changes::{self, Documents};
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::documents::ended;
use crate::routes::input::{Json, Path};
use crate::served::{Open, Served};
use crate::state::App;
use crate::tasks::{Task, TaskKind};
use axum::extract::State;
use selvedge::{Document, Filter, SearchOptions, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Documents to look for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidCheckRequest {
    /// Their numbers.
    document_ids: Vec<i64>,
}

/// Which documents there are.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidCheckResponse {
    /// Numbers of documents.
    existing_ids: Vec<i64>,
    /// Numbers of no document.
    missing_ids: Vec<i64>,
    /// Number of the first.
    existing_count: usize,
    /// Number of the others.
    missing_count: usize,
}

/// A condition on the metadata.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidQueryRequest {
    /// Condition, with `?` for parameters.
    condition: String,
    /// Values of the `?`, in order.
    #[serde(default)]
    #[schema(value_type = Vec<Value>)]
    parameters: Vec<Value>,
}

/// Numbers of the documents that a condition finds.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidQueryResponse {
    /// Numbers, ascending.
    document_ids: Vec<i64>,
    /// Number of documents.
    count: usize,
}

/// Documents whose metadata is requested: some by number, some by a condition, or all.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub(super) struct PlaidGetRequest {
    /// Their numbers.
    document_ids: Option<Vec<i64>>,
    /// Condition, with `?` for parameters.
    condition: Option<String>,
    /// Values of the `?`, in order.
    #[schema(value_type = Vec<Value>)]
    parameters: Vec<Value>,
    /// Most documents.
    limit: Option<usize>,
}

/// Metadata of documents.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidMetadata {
    /// Metadata with the number of its document as `_subset_`.
    #[schema(value_type = Vec<Object>)]
    metadata: Vec<Value>,
    /// Number of documents.
    count: usize,
}

/// A change of metadata.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidMetadataUpdate {
    /// Condition on the documents to change, with `?` for parameters.
    condition: String,
    /// Values of the `?`, in order.
    #[serde(default)]
    #[schema(value_type = Vec<Value>)]
    parameters: Vec<Value>,
    /// New values of keys; null takes a key away.
    #[schema(value_type = Object)]
    updates: Map<String, Value>,
}

/// Returns the metadata of all documents.
#[utoipa::path(get, path = "/indices/{name}/metadata", tag = "next-plaid",
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidMetadata), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn all_metadata(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<axum::Json<PlaidMetadata>> {
    let open = open(&app, &name)?;
    Ok(axum::Json(app.reads.run(move || metadata(&open, PlaidGetRequest::default())).await??))
}

/// Counts the documents with metadata.
#[utoipa::path(get, path = "/indices/{name}/metadata/count", tag = "next-plaid",
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn count_metadata(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<axum::Json<Value>> {
    let snapshot = open(&app, &name)?.engine.snapshot();
    let has_metadata = !snapshot.index().columns()?.is_empty();
    let count = if has_metadata { snapshot.index().num_passages() } else { 0 };
    Ok(axum::Json(json!({"count": count, "has_metadata": has_metadata})))
}

/// Tells which documents there are.
#[utoipa::path(post, path = "/indices/{name}/metadata/check", tag = "next-plaid", request_body = PlaidCheckRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidCheckResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn check_metadata(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidCheckRequest>,
) -> Result<axum::Json<PlaidCheckResponse>> {
    let open = open(&app, &name)?;
    let check = move || {
        let snapshot = open.engine.snapshot();
        let (mut existing_ids, mut missing_ids) = (Vec::new(), Vec::new());
        for number in request.document_ids {
            match numbers::pid(snapshot.index(), number)? {
                Some(_) => existing_ids.push(number),
                None => missing_ids.push(number),
            }
        }
        let (existing_count, missing_count) = (existing_ids.len(), missing_ids.len());
        Ok::<_, ApiError>(PlaidCheckResponse { existing_ids, missing_ids, existing_count, missing_count })
    };
    Ok(axum::Json(app.reads.run(check).await??))
}

/// Finds documents by a condition.
#[utoipa::path(post, path = "/indices/{name}/metadata/query", tag = "next-plaid", request_body = PlaidQueryRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidQueryResponse), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn query_metadata(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidQueryRequest>,
) -> Result<axum::Json<PlaidQueryResponse>> {
    let open = open(&app, &name)?;
    let filter = condition::filter(&request.condition, &request.parameters)?;
    let query = move || {
        let snapshot = open.engine.snapshot();
        let index = snapshot.index();
        let mut documents = index.documents().reader();
        let mut document_ids = Vec::new();
        for pid in matching(&snapshot, filter)? {
            document_ids.push(number(&documents.id(pid)?, pid));
        }
        document_ids.sort_unstable();
        Ok::<_, ApiError>(PlaidQueryResponse { count: document_ids.len(), document_ids })
    };
    Ok(axum::Json(app.reads.run(query).await??))
}

/// Returns the metadata of documents, by their numbers or a condition.
#[utoipa::path(post, path = "/indices/{name}/metadata/get", tag = "next-plaid", request_body = PlaidGetRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidMetadata), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn get_metadata(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidGetRequest>,
) -> Result<axum::Json<PlaidMetadata>> {
    let open = open(&app, &name)?;
    Ok(axum::Json(app.reads.run(move || metadata(&open, request)).await??))
}

/// Changes metadata: the documents are written again with their stored texts. Documents without a text have only
/// their compressed embeddings, which cannot be written again as they are: 400.
#[utoipa::path(post, path = "/indices/{name}/metadata/update", tag = "next-plaid",
    request_body = PlaidMetadataUpdate,
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn update_metadata(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidMetadataUpdate>,
) -> Result<axum::Json<Value>> {
    let served = app.index(&name)?;
    opened(&served)?;
    let filter = Arc::new(condition::filter(&request.condition, &request.parameters)?);
    if request.updates.contains_key("_subset_") {
        return Err(ApiError::bad_request("_subset_ is the number of a document, which stays"));
    }
    let work = move |app: &App, served: &Served, task: &Task| {
        let documents = changed(served, filter, &request.updates)?;
        let updated = documents.len();
        if updated > 0 {
            changes::add(app, served, task, Documents::Texts(documents), true)?;
        }
        Ok(json!({"updated": updated}))
    };
    ended(served.queue_write(&app, TaskKind::Add, work)?).await.map(axum::Json)
}

/// The documents of a filter with other metadata.
fn changed(served: &Served, filter: Arc<Filter>, updates: &Map<String, Value>) -> Result<Vec<Document>> {
    let ids = found(served, filter)?;
    let open = opened(served)?;
    let snapshot = open.engine.snapshot();
    let index = snapshot.index();
    let mut documents = index.documents().reader();
    let mut changed = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(pid) = documents.find(&id)? else { continue };
        let mut document = documents.document(pid)?;
        if open.model.is_none() || document.text.trim().is_empty() {
            let message = "a document that was added as embeddings keeps its metadata: only its compressed embeddings \
                           are stored, and to write it again would change them; delete it and add it again";
            return Err(unsupported(message));
        }
        let mut fields = match document.metadata.take() {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.extend(updates.clone());
        fields.retain(|_, value| !value.is_null());
        document.metadata = Some(Value::Object(fields));
        changed.push(document);
    }
    Ok(changed)
}

/// The passages that a filter finds.
fn matching(snapshot: &Snapshot, filter: Filter) -> Result<Vec<u32>> {
    let options = SearchOptions { filter: Some(Arc::new(filter)), ..SearchOptions::default() };
    let set = snapshot.passages(&options)?;
    Ok(set.map(|set| set.pids().collect()).unwrap_or_default())
}

/// Metadata of documents, by their numbers.
fn metadata(open: &Open, request: PlaidGetRequest) -> Result<PlaidMetadata> {
    let snapshot = open.engine.snapshot();
    let index = snapshot.index();
    let pids: Vec<u32> = match (request.document_ids, request.condition) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("give document_ids, or a condition")),
        (Some(numbers), None) => {
            let pids = numbers.into_iter().map(|number| numbers::pid(index, number));
            pids.filter_map(Result::transpose).collect::<Result<_>>()?
        }
        (None, Some(text)) => matching(&snapshot, condition::filter(&text, &request.parameters)?)?,
        (None, None) => index.pids().collect(),
    };
    let mut documents = index.documents().reader();
    let mut numbered = Vec::with_capacity(pids.len());
    for pid in pids {
        numbered.push((number(&documents.id(pid)?, pid), pid));
    }
    numbered.sort_unstable();
    numbered.dedup();
    let mut metadata = Vec::new();
    for (number, pid) in numbered.into_iter().take(request.limit.unwrap_or(usize::MAX)) {
        let fields = documents.document(pid)?.metadata.unwrap_or_else(|| json!({}));
        metadata.push(with_number(fields, number));
    }
    Ok(PlaidMetadata { count: metadata.len(), metadata })
}
