//! Indexes: list, declare, describe, delete, configure; and the state of the server.

use super::config::{PlaidConfig, PlaidConfigRequest};
use super::opened;
use crate::error::{ErrorBody, Result};
use crate::routes::input::{Json, Path};
use crate::served::{IndexSettings, Served};
use crate::state::App;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// A new index.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidCreateRequest {
    /// Name: letters, digits, `.`, `_` and `-`.
    name: String,
    /// Settings.
    #[serde(default)]
    config: PlaidConfigRequest,
}

/// Other settings.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PlaidChangeRequest {
    /// Number of documents above which the oldest are deleted; null for none.
    max_documents: Option<usize>,
}

/// An index and its settings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidConfigured {
    /// Name.
    name: String,
    /// Settings.
    config: PlaidConfig,
    /// Meaning of the settings.
    message: String,
}

/// An index with documents.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidIndex {
    /// Name.
    name: String,
    /// Documents.
    num_documents: u32,
    /// Embeddings.
    num_embeddings: u64,
    /// Centroids.
    num_partitions: usize,
    /// Embeddings per document.
    avg_doclen: f64,
    /// Components of an embedding.
    dimension: usize,
    /// Bits per residual component.
    nbits: u8,
    /// Whether a document has metadata.
    has_metadata: bool,
    /// Documents, if one has metadata.
    metadata_count: Option<u32>,
    /// Number of documents above which the oldest are deleted.
    max_documents: Option<usize>,
}

/// State of the server.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlaidHealth {
    /// `healthy`.
    status: &'static str,
    /// Version of this server.
    version: &'static str,
    /// Number of indexes.
    loaded_indices: usize,
    /// Name of the data folder.
    index_dir: String,
    /// Resident memory in bytes; 0 where it is unknown.
    memory_usage_bytes: u64,
    /// Indexes with documents.
    indices: Vec<PlaidIndex>,
    /// Model of requests without an index.
    model: String,
}

/// Describes an index with documents.
fn describe(served: &Served) -> Result<PlaidIndex> {
    let open = opened(served)?;
    let snapshot = open.engine.snapshot();
    let (index, codec) = (snapshot.index(), &snapshot.index().manifest().codec);
    let has_metadata = !index.columns().unwrap_or_default().is_empty();
    let documents = index.num_passages();
    Ok(PlaidIndex {
        name: served.name.clone(),
        num_documents: documents,
        num_embeddings: index.num_tokens(),
        num_partitions: codec.num_centroids,
        avg_doclen: index.num_tokens() as f64 / f64::from(documents.max(1)),
        dimension: codec.dim,
        nbits: codec.nbits,
        has_metadata,
        metadata_count: has_metadata.then_some(documents),
        max_documents: PlaidConfig::of(served)?.max_documents,
    })
}

/// Describes the server and its indexes.
#[utoipa::path(get, path = "/health", tag = "next-plaid", responses((status = 200, body = PlaidHealth),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn health(State(app): State<Arc<App>>) -> Result<axum::Json<PlaidHealth>> {
    let all = Arc::clone(&app);
    let describe_all = move || all.indexes().iter().filter_map(|served| describe(served).ok()).collect();
    let indices: Vec<PlaidIndex> = app.reads.run(describe_all).await?;
    let folder = app.config.data.as_deref().and_then(|data| data.file_name());
    Ok(axum::Json(PlaidHealth {
        status: "healthy",
        version: env!("CARGO_PKG_VERSION"),
        loaded_indices: indices.len(),
        index_dir: folder.unwrap_or_default().to_string_lossy().into_owned(),
        memory_usage_bytes: resident_bytes().unwrap_or(0),
        indices,
        model: app.config.model.clone(),
    }))
}

/// Resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Lists the names of the indexes with documents.
#[utoipa::path(get, path = "/indices", tag = "next-plaid", responses((status = 200, body = Vec<String>),
    (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_indices(State(app): State<Arc<App>>) -> axum::Json<Vec<String>> {
    let with_documents = app.indexes().into_iter().filter(|served| served.open().is_ok());
    axum::Json(with_documents.map(|served| served.name.clone()).collect())
}

/// Describes an index. One that is declared has no documents yet, and is not found.
#[utoipa::path(get, path = "/indices/{name}", tag = "next-plaid",
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = PlaidIndex),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn get_index(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<axum::Json<PlaidIndex>> {
    let served = app.index(&name)?;
    Ok(axum::Json(app.reads.run(move || describe(&served)).await??))
}

/// Declares an index. It is made of its first documents.
#[utoipa::path(post, path = "/indices", tag = "next-plaid", request_body = PlaidCreateRequest, responses(
    (status = 200, body = PlaidConfigured), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn create_index(
    State(app): State<Arc<App>>,
    Json(request): Json<PlaidCreateRequest>,
) -> Result<axum::Json<PlaidConfigured>> {
    let PlaidCreateRequest { name, config } = request;
    let config = config.config()?;
    let (all, of_index, of_config) = (Arc::clone(&app), name.clone(), config.clone());
    let create = move || {
        let settings = IndexSettings { nbits: Some(of_config.nbits), ..IndexSettings::default() };
        let served = all.create(&of_index, settings)?;
        of_config.save(&served)
    };
    app.writes.run(create).await??;
    let message = format!("Index declared. Use POST /indices/{name}/update to add documents.");
    Ok(axum::Json(PlaidConfigured { name, config, message }))
}

/// Deletes an index and its files.
#[utoipa::path(delete, path = "/indices/{name}", tag = "next-plaid",
    params(("name" = String, Path, description = "Name of the index")), responses((status = 200, body = Object),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn delete_index(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<axum::Json<Value>> {
    app.delete(&name).await?;
    Ok(axum::Json(json!({"deleted": true, "name": name})))
}

/// Changes the settings of an index.
#[utoipa::path(put, path = "/indices/{name}/config", tag = "next-plaid", request_body = PlaidChangeRequest,
    params(("name" = String, Path, description = "Name of the index")), responses(
    (status = 200, body = PlaidConfigured), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn update_config(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(request): Json<PlaidChangeRequest>,
) -> Result<axum::Json<PlaidConfigured>> {
    let served = app.index(&name)?;
    let max_documents = request.max_documents;
    let change = move || {
        let mut config = PlaidConfig::of(&served)?;
        config.max_documents = max_documents;
        config.save(&served).map(|()| config)
    };
    let config = app.writes.run(change).await??;
    let message = match max_documents {
        Some(most) => format!("max_documents is {most}. The oldest above it are deleted when documents are added."),
        None => "There is no limit of documents.".to_owned(),
    };
    Ok(axum::Json(PlaidConfigured { name, config, message }))
}
