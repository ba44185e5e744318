//! Documents: add, replace, look up, delete, load in bulk.

use super::binary;
use super::input::{EmbeddingsInput, Json, Path, Query, body, content_type, filter, id, ids, slow_body};
use crate::changes::{self, Documents};
use crate::error::{ApiError, ErrorBody, Result};
use crate::served::{Open, Served};
use crate::state::App;
use crate::tasks::{Task, TaskKind};
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use selvedge::{Document, EmbeddedDocument, SearchOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Documents and bytes of a bulk load that are committed together.
const BULK_DOCUMENTS: usize = 2048;
const BULK_BYTES: usize = 8 << 20;
/// Bytes per second that a bulk load sends at least, on average, after `timeout_ms` of waiting for it.
const LEAST_BYTES_PER_SECOND: f64 = 1024.0;
/// Most failed lines that the report of a bulk load names.
const MOST_FAILED: usize = 1000;

/// Codes of errors that single documents cause; any other one ends a bulk load.
const OF_DOCUMENTS: [&str; 6] =
    ["BAD_DOCUMENT", "BAD_REQUEST", "BAD_EMBEDDINGS", "DIMENSION_MISMATCH", "DOCUMENT_TOO_LONG", "MEMORY_BUDGET"];

/// A document.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct DocumentInput {
    /// Name of the document in its index: a text, or a number.
    #[serde(deserialize_with = "id")]
    id: String,
    /// Text, which the model of the index encodes.
    #[serde(default)]
    text: Option<String>,
    /// Metadata: an object.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Embeddings that were made elsewhere, instead of the model's.
    #[serde(default)]
    embeddings: Option<EmbeddingsInput>,
    /// Any other field is metadata too, as in a JSONL file.
    #[serde(flatten)]
    #[schema(additional_properties, value_type = Object)]
    fields: Map<String, Value>,
}

impl DocumentInput {
    /// The metadata of both places.
    fn metadata(&mut self) -> Result<Option<Value>> {
        let mut all = self.metadata.take().unwrap_or_default();
        for (key, value) in std::mem::take(&mut self.fields) {
            if all.insert(key.clone(), value).is_some() {
                let message = format!("document {:?} has {key:?} twice: beside its metadata and in it", self.id);
                return Err(ApiError::bad_request(message));
            }
        }
        Ok((!all.is_empty()).then_some(Value::Object(all)))
    }
}

/// Documents to add.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddRequest {
    /// Documents: all with embeddings, or none.
    documents: Vec<DocumentInput>,
    /// Whether a document replaces the one that has its id, true by default; otherwise it is refused.
    #[serde(default = "yes")]
    replace: bool,
}

pub(super) fn yes() -> bool {
    true
}

/// Documents to delete.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    /// Their ids; those that the index does not have are ignored.
    #[serde(deserialize_with = "ids")]
    ids: Option<Vec<String>>,
    /// A condition on their metadata, instead of ids: a text or JSON.
    #[serde(rename = "where")]
    #[schema(value_type = Option<Value>)]
    filter: Option<Value>,
}

/// How a write answers.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteQuery {
    /// Whether it answers when it is committed, true by default; otherwise with its task, at once.
    #[serde(default = "yes")]
    #[param(required = false)]
    wait: bool,
}

/// A document by its id.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(crate) struct IdQuery {
    /// Id of the document.
    id: String,
}

/// A line of a bulk load that failed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct FailedLine {
    line: usize,
    code: String,
    message: String,
}

/// Adds documents, or replaces those that have their ids, in one commit.
#[utoipa::path(post, path = "/v1/indexes/{name}/documents", tag = "documents",
    request_body(content((AddRequest = "application/json"), (Vec<u8> = "application/octet-stream"))),
    params(("name" = String, Path, description = "Name of the index"), WriteQuery), responses(
    (status = 200, body = Object, description = "Committed"),
    (status = 202, body = crate::tasks::TaskInfo, description = "Waits, with wait=false"),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<WriteQuery>,
    request: Request,
) -> Result<Response> {
    let served = app.index(&name)?;
    let (documents, replace) = if content_type(&request).eq_ignore_ascii_case(binary::CONTENT_TYPE) {
        let body = body(request, &app).await?;
        app.reads.run(move || binary::read(&body)).await??
    } else {
        let Json(request) = Json::<AddRequest>::from_request(request, &app).await?;
        (app.reads.run(move || documents(request.documents)).await??, request.replace)
    };
    let work = move |app: &App, served: &Served, task: &Task| changes::add(app, served, task, documents, replace);
    answer(served.queue_write(&app, TaskKind::Add, work)?, query.wait).await
}

/// Deletes documents by their ids, or by a condition on their metadata, in one commit.
#[utoipa::path(post, path = "/v1/indexes/{name}/delete", tag = "documents", request_body = DeleteRequest,
    params(("name" = String, Path, description = "Name of the index"), WriteQuery), responses(
    (status = 200, body = Object, description = "Committed"),
    (status = 202, body = crate::tasks::TaskInfo, description = "Waits, with wait=false"),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<WriteQuery>,
    Json(request): Json<DeleteRequest>,
) -> Result<Response> {
    let served = app.index(&name)?;
    served.may_be_open()?;
    let condition = match (&request.ids, request.filter) {
        (Some(_), None) => None,
        (None, Some(condition)) => Some(Arc::new(filter(condition)?)),
        _ => return Err(ApiError::bad_request("give ids, or where")),
    };
    let work = move |_: &App, served: &Served, _: &Task| {
        let ids = match condition {
            Some(filter) => {
                changes::matching(served, &SearchOptions { filter: Some(filter), ..SearchOptions::default() })?
            }
            None => request.ids.unwrap_or_default(),
        };
        changes::delete(served, &ids)
    };
    answer(served.queue_write(&app, TaskKind::Delete, work)?, query.wait).await
}

/// Returns a document by its id.
#[utoipa::path(get, path = "/v1/indexes/{name}/documents", tag = "documents",
    params(("name" = String, Path, description = "Name of the index"), IdQuery), responses(
    (status = 200, body = Object), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<IdQuery>,
) -> Result<axum::Json<Value>> {
    let open = app.index(&name)?.open()?;
    let Document { id, text, metadata } = find(&app, open, query.id).await?;
    Ok(axum::Json(json!({"id": id, "text": text, "metadata": metadata})))
}

/// Reads a document by its id.
pub(crate) async fn find(app: &App, open: Arc<Open>, id: String) -> Result<Document> {
    let find = move || {
        let snapshot = open.engine.snapshot();
        let pid = snapshot.index().pid(&id)?.ok_or_else(|| ApiError::no_document(&id))?;
        Ok(snapshot.index().document(pid)?)
    };
    app.reads.run(find).await?
}

/// Adds documents from a stream of JSON lines, in several commits. A line that fails is named in the report, and the
/// others go on.
#[utoipa::path(post, path = "/v1/indexes/{name}/bulk", tag = "documents",
    request_body(content = String, content_type = "application/x-ndjson"),
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn bulk(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<axum::Json<Value>> {
    let served = app.index(&name)?;
    let mut load = Load { app, served, report: Report::default(), chunk: Vec::new(), bytes: 0 };
    let mut stream = body.into_data_stream();
    let (mut line, mut number) = (Vec::new(), 0);
    let patience = load.app.config.timeout(None);
    let (mut waited, mut received) = (Duration::ZERO, 0);
    loop {
        let since = Instant::now();
        let next = tokio::time::timeout(patience, stream.next()).await.map_err(|_| slow_body())?;
        let Some(part) = next else { break };
        let part = part.map_err(|error| ApiError::bad_request(format!("the stream broke: {error}")))?;
        (waited, received) = (waited + since.elapsed(), received + part.len());
        if waited > patience && (received as f64) < waited.as_secs_f64() * LEAST_BYTES_PER_SECOND {
            return Err(slow_body().with(load.report.json()));
        }
        for piece in part.split_inclusive(|&byte| byte == b'\n') {
            line.extend_from_slice(piece);
            if line.len() > load.app.config.max_body {
                return Err(ApiError::bad_request(format!("line {} is longer than max_body", number + 1)));
            }
            if line.ends_with(b"\n") {
                number += 1;
                load.line(number, std::mem::take(&mut line)).await?;
            }
        }
    }
    load.line(number + 1, line).await?;
    load.commit().await?;
    Ok(axum::Json(load.report.json()))
}

/// Counts of a bulk load.
#[derive(Default)]
struct Report {
    generation: u32,
    added: u64,
    deleted: u64,
    num_failed: usize,
    failed: Vec<FailedLine>,
}

/// A bulk load that goes on.
struct Load {
    app: Arc<App>,
    served: Arc<Served>,
    report: Report,
    /// Lines that are not committed yet, with their numbers.
    chunk: Vec<(usize, DocumentInput)>,
    bytes: usize,
}

impl Load {
    /// Takes a line. The client waits while a full chunk is committed.
    async fn line(&mut self, number: usize, line: Vec<u8>) -> Result<()> {
        let len = line.len();
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match Json::read(&self.app, line.into()).await {
            // Too many requests wait, say.
            Err(error) if !OF_DOCUMENTS.contains(&error.code) => return Err(error.with(self.report.json())),
            Err(mut error) => {
                // The report has the number of the line.
                error.message = error.message.replace(" at line 1 column ", " at column ");
                self.report.fail(number, &error);
            }
            Ok(Json(document)) => {
                self.chunk.push((number, document));
                self.bytes += len;
            }
        }
        if self.chunk.len() >= BULK_DOCUMENTS || self.bytes >= BULK_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    /// Commits the chunk; if it is refused, its halves, until the lines that are to blame are alone.
    async fn commit(&mut self) -> Result<()> {
        self.bytes = 0;
        let mut parts = vec![std::mem::take(&mut self.chunk)];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.write(part.clone()).await {
                Ok(change) => self.report.add(&change),
                Err(error) if !OF_DOCUMENTS.contains(&error.code) => return Err(error.with(self.report.json())),
                Err(error) if part.len() == 1 => self.report.fail(part[0].0, &error),
                Err(_) => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
            }
        }
        Ok(())
    }

    async fn write(&self, part: Vec<(usize, DocumentInput)>) -> Result<Value> {
        let work = move |app: &App, served: &Served, task: &Task| {
            let documents = documents(part.into_iter().map(|(_, document)| document).collect())?;
            changes::add(app, served, task, documents, true)
        };
        // The client waits meanwhile, as it does for the write itself.
        ended(self.served.wait_to_queue_write(&self.app, TaskKind::Add, work).await?).await
    }
}

impl Report {
    fn add(&mut self, change: &Value) {
        let count = |key: &str| change[key].as_u64().unwrap_or(0);
        self.generation = count("generation") as u32;
        self.added += count("added");
        self.deleted += count("deleted");
    }

    fn fail(&mut self, line: usize, error: &ApiError) {
        self.num_failed += 1;
        if self.failed.len() < MOST_FAILED {
            self.failed.push(FailedLine { line, code: error.code.into(), message: error.message.clone() });
        }
    }

    fn json(&self) -> Value {
        json!({
            "generation": self.generation,
            "added": self.added,
            "deleted": self.deleted,
            "num_failed": self.num_failed,
            "failed": self.failed,
        })
    }
}

/// Reads the documents of a request.
fn documents(inputs: Vec<DocumentInput>) -> Result<Documents> {
    let with = inputs.iter().filter(|input| input.embeddings.is_some()).count();
    if with != 0 && with != inputs.len() {
        return Err(ApiError::bad_request("some documents have embeddings and others not; send them apart"));
    }
    if with == 0 {
        let text = |mut input: DocumentInput| {
            let metadata = input.metadata()?;
            let missing = || ApiError::bad_request(format!("document {:?} has neither text nor embeddings", input.id));
            Ok(Document { text: input.text.ok_or_else(missing)?, id: input.id, metadata })
        };
        return Ok(Documents::Texts(inputs.into_iter().map(text).collect::<Result<_>>()?));
    }
    let (mut dim, mut documents) = (0, Vec::new());
    for mut input in inputs {
        let metadata = input.metadata()?;
        let DocumentInput { id, text, embeddings, .. } = input;
        let (embeddings, found) = embeddings.map_or(Ok((Vec::new(), 0)), EmbeddingsInput::rows)?;
        if dim != 0 && found != 0 && found != dim {
            return Err(selvedge::Error::from(selvedge::SearchError::DimMismatch { expected: dim, found }).into());
        }
        dim = dim.max(found);
        let document = Document { id, text: text.unwrap_or_default(), metadata };
        documents.push(EmbeddedDocument { document, embeddings });
    }
    Ok(Documents::Embedded(dim, documents))
}

/// Answers when a task has ended, or at once.
async fn answer(task: Arc<Task>, waits: bool) -> Result<Response> {
    match waits {
        true => Ok(axum::Json(ended(task).await?).into_response()),
        false => Ok((StatusCode::ACCEPTED, axum::Json(task.info())).into_response()),
    }
}

/// Waits for the end of a task, and returns its result or its error.
pub(crate) async fn ended(task: Arc<Task>) -> Result<Value> {
    let mut watch = task.watch();
    let _ = watch.wait_for(|info| info.state.is_end()).await;
    task.outcome()
}
