//! Documents: add, add with encoding, delete. All answer at once, and run in the queue of the index's writes.

use super::config::PlaidConfig;
use super::input::PlaidEmbeddings;
use super::numbers::{self, Numbers};
use super::{check_dim, condition, encode, opened, pool_factor};
use crate::changes::{self, Documents};
use crate::error::{ApiError, ErrorBody, Result};
use crate::routes::documents::ended;
use crate::routes::input::Json;
use crate::routes::input::{Path, Query};
use crate::served::Served;
use crate::state::App;
use crate::tasks::{Task, TaskKind};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use selvedge::{Document, EmbeddedDocument, Filter, SearchOptions};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Documents as embeddings.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidUpdateRequest {
    /// Embeddings of each document.
    documents: Vec<PlaidEmbeddings>,
    /// Metadata of each document; empty for none.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    metadata: Vec<Value>,
}

/// Documents as texts.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidUpdateTextsRequest {
    /// Text of each document.
    documents: Vec<String>,
    /// Metadata of each document; empty for none.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    metadata: Vec<Value>,
    /// Factor by which the embeddings are pooled, beside what the settings of the index say. An index whose first
    /// documents are pooled so has no words.
    #[serde(default)]
    pool_factor: Option<usize>,
}

/// Documents to delete.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidDeleteRequest {
    /// Condition on their metadata, with `?` for parameters.
    condition: String,
    /// Values of the `?`, in order.
    #[serde(default)]
    #[schema(value_type = Vec<Value>)]
    parameters: Vec<Value>,
}

/// When a write answers.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
pub(super) struct PlaidWait {
    /// Whether it answers when it is committed, false by default.
    #[param(required = false)]
    wait: bool,
}

/// Numbers that all writes share.
type Shared = Extension<Arc<Numbers>>;
/// Answer of a write.
type Accepted = (StatusCode, axum::Json<&'static str>);

/// Adds documents to a declared index.
#[utoipa::path(post, path = "/indices/{name}/update", tag = "next-plaid", request_body = PlaidUpdateRequest,
    params(("name" = String, Path, description = "Name of the index"), PlaidWait), responses(
    (status = 202, body = String, content_type = "application/json"), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<PlaidWait>,
    Extension(numbers): Shared,
    Json(request): Json<PlaidUpdateRequest>,
) -> Result<Accepted> {
    add_embeddings(&app, &name, query, numbers, request).await
}

/// Adds documents to a declared index, at the older path.
#[utoipa::path(post, path = "/indices/{name}/documents", tag = "next-plaid", request_body = PlaidUpdateRequest,
    params(("name" = String, Path, description = "Name of the index"), PlaidWait), responses(
    (status = 202, body = String, content_type = "application/json"), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn add_documents(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<PlaidWait>,
    Extension(numbers): Shared,
    Json(request): Json<PlaidUpdateRequest>,
) -> Result<Accepted> {
    add_embeddings(&app, &name, query, numbers, request).await
}

/// Encodes documents and adds them to a declared index.
#[utoipa::path(post, path = "/indices/{name}/update_with_encoding", tag = "next-plaid",
    request_body = PlaidUpdateTextsRequest,
    params(("name" = String, Path, description = "Name of the index"), PlaidWait), responses(
    (status = 202, body = String, content_type = "application/json"), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn update_with_encoding(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<PlaidWait>,
    Extension(numbers): Shared,
    Json(request): Json<PlaidUpdateTextsRequest>,
) -> Result<Accepted> {
    let served = declared(&app, &name)?;
    let factor = pool_factor(request.pool_factor)?;
    let metadata = checked_metadata(request.metadata, request.documents.len())?;
    let texts = request.documents;
    let work = move |app: &App, served: &Served, task: &Task| {
        let most = PlaidConfig::of(served)?.max_documents;
        let first = numbers.next(served)?;
        let added = texts.len() as u64;
        let documents = numbered(first, texts, metadata).collect();
        let change = changes::add(app, served, task, with_embeddings(app, served, documents, factor)?, false)?;
        numbers.note(served, first + added);
        kept_within(most, served, change)
    };
    answer(served.queue_write(&app, TaskKind::Add, work)?, query.wait, "Update queued for batching").await
}

/// Deletes the documents that a condition on their metadata finds.
#[utoipa::path(delete, path = "/indices/{name}/documents", tag = "next-plaid", request_body = PlaidDeleteRequest,
    params(("name" = String, Path, description = "Name of the index"), PlaidWait), responses(
    (status = 202, body = String, content_type = "application/json"), (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody)))]
pub(super) async fn delete_documents(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<PlaidWait>,
    Json(request): Json<PlaidDeleteRequest>,
) -> Result<Accepted> {
    let served = app.index(&name)?;
    let filter = Arc::new(condition::filter(&request.condition, &request.parameters)?);
    // The first documents may be on their way: the deletion comes after them.
    if served.waiting_writes() == 0 {
        opened(&served)?;
    }
    let work = move |_: &App, served: &Served, _: &Task| {
        let ids = found(served, filter)?;
        changes::delete(served, &ids)
    };
    let task = served.queue_write(&app, TaskKind::Delete, work)?;
    answer(task, query.wait, "Delete condition queued for batch processing").await
}

/// Queues documents with embeddings.
async fn add_embeddings(
    app: &Arc<App>,
    name: &str,
    query: PlaidWait,
    numbers: Arc<Numbers>,
    request: PlaidUpdateRequest,
) -> Result<Accepted> {
    let served = declared(app, name)?;
    let metadata = checked_metadata(request.metadata, request.documents.len())?;
    let (mut dim, mut rows) = (None, Vec::new());
    for document in request.documents {
        let (embeddings, found) = document.rows()?;
        let expected = *dim.get_or_insert(found);
        if found != expected {
            return Err(selvedge::SearchError::DimMismatch { expected, found }.into());
        }
        rows.push(embeddings);
    }
    let dim = dim.unwrap_or_default();
    if let Ok(open) = served.open() {
        check_dim(&open, dim)?;
    }
    let work = move |app: &App, served: &Served, task: &Task| {
        let most = PlaidConfig::of(served)?.max_documents;
        let first = numbers.next(served)?;
        let added = rows.len() as u64;
        let texts = vec![String::new(); rows.len()];
        let documents = numbered(first, texts, metadata).zip(rows);
        let documents = documents.map(|(document, embeddings)| EmbeddedDocument { document, embeddings }).collect();
        let change = changes::add(app, served, task, Documents::Embedded(dim, documents), false)?;
        numbers.note(served, first + added);
        kept_within(most, served, change)
    };
    answer(served.queue_write(app, TaskKind::Add, work)?, query.wait, "Update queued for batching").await
}

/// The index of a name, which must have been declared.
fn declared(app: &App, name: &str) -> Result<Arc<Served>> {
    app.index(name).map_err(|error| ApiError { code: "INDEX_NOT_DECLARED", ..error })
}

/// Checks that there are documents, and an object for each or for none.
fn checked_metadata(metadata: Vec<Value>, documents: usize) -> Result<Vec<Value>> {
    if documents == 0 {
        return Err(ApiError::bad_request("there is no document"));
    }
    if !metadata.is_empty() && metadata.len() != documents {
        let message = format!("{documents} documents, and metadata of {}", metadata.len());
        return Err(ApiError::bad_request(message));
    }
    match metadata.iter().position(|value| !value.is_object() && !value.is_null()) {
        Some(at) => Err(ApiError::bad_request(format!("the metadata of document {at} is no object"))),
        None => Ok(metadata),
    }
}

/// Documents with their numbers, from `first` on.
fn numbered(first: u64, texts: Vec<String>, metadata: Vec<Value>) -> impl Iterator<Item = Document> {
    let metadata = metadata.into_iter().map(|value| Some(value).filter(Value::is_object));
    let metadata = metadata.chain(std::iter::repeat(None));
    let numbered = (first..).zip(texts).zip(metadata);
    numbered.map(|((number, text), metadata)| Document { id: number.to_string(), text, metadata })
}

/// Documents of texts as the index takes them: an index of embeddings has no model, so the server's encodes them; and
/// the index does not pool by the factor of a request.
fn with_embeddings(app: &App, served: &Served, documents: Vec<Document>, factor: usize) -> Result<Documents> {
    let open = served.open().ok();
    let name = served.settings.model.as_ref().unwrap_or(&app.config.model);
    let model = match &open {
        Some(open) if open.model.is_none() => app.models.named(name)?,
        _ if factor == 1 => return Ok(Documents::Texts(documents)),
        Some(open) => open.model.clone().ok_or(selvedge::Error::NoEncoder)?,
        None => app.models.named(name)?,
    };
    let encoder = model.encoder();
    if let Some(open) = &open {
        check_dim(open, encoder.dim())?;
    }
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    let embeddings = encoder.encode_passages(&texts).map_err(selvedge::Error::from)?;
    let rows = encode::pooled(embeddings.iter().map(<[f32]>::to_vec).collect(), encoder.dim(), factor)?;
    let documents = documents.into_iter().zip(rows);
    let documents = documents.map(|(document, embeddings)| EmbeddedDocument { document, embeddings }).collect();
    Ok(Documents::Embedded(encoder.dim(), documents))
}

/// Deletes the documents with the lowest numbers above the most that an index may have.
fn kept_within(most: Option<usize>, served: &Served, change: Value) -> Result<Value> {
    let Some(most) = most else { return Ok(change) };
    let open = opened(served)?;
    let snapshot = open.engine.snapshot();
    let index = snapshot.index();
    let above = (index.num_passages() as usize).saturating_sub(most);
    if above == 0 {
        return Ok(change);
    }
    let mut ids = Vec::new();
    for (pid, id) in index.pids().zip(index.ids()) {
        let id = id?;
        ids.push((numbers::number(&id, pid), id));
    }
    ids.sort();
    let oldest: Vec<String> = ids.into_iter().take(above).map(|(_, id)| id).collect();
    changes::delete(served, &oldest)
}

/// Ids of the documents that a filter finds; none in an index without documents.
pub(super) fn found(served: &Served, filter: Arc<Filter>) -> Result<Vec<String>> {
    match served.open() {
        Ok(_) => changes::matching(served, &SearchOptions { filter: Some(filter), ..SearchOptions::default() }),
        Err(error) if error.code == "INDEX_EMPTY" => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Answers at once, or when a task has ended.
async fn answer(task: Arc<Task>, waits: bool, message: &'static str) -> Result<Accepted> {
    if waits {
        ended(task).await?;
    }
    Ok((StatusCode::ACCEPTED, axum::Json(message)))
}
