//! Errors of the API: each has a status, a code that programs compare, and a message for people.

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use selvedge::{BackendError, Error as EngineError, SearchError};
use serde::Serialize;
use serde_json::{Value, json};

/// A `Result` of a request.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Most characters of a message.
const LONGEST_MESSAGE: usize = 2000;

/// Seconds after which a client that was shed should try again.
const RETRY_AFTER_S: u32 = 1;

/// Error of a request, written as `{"code", "message", "details"}`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Status of the answer.
    pub status: StatusCode,
    /// Name of the error; it never changes.
    pub code: &'static str,
    /// Reason, and the way out.
    pub message: String,
    /// Values of the error; null if there are none.
    pub details: Value,
}

/// Body of an error.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ErrorBody {
    /// Name of the error; it never changes.
    pub code: String,
    /// Reason, and the way out.
    pub message: String,
    /// Values of the error.
    #[schema(value_type = Option<Object>)]
    pub details: Value,
}

impl ApiError {
    /// An error without values.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // It may quote what the client sent, and tasks keep it.
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
            message.push_str("...");
        }
        Self { status, code, message, details: Value::Null }
    }

    /// A request that breaks a rule.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// An index that does not exist.
    pub fn no_index(name: &str) -> Self {
        let error = Self::new(StatusCode::NOT_FOUND, "INDEX_NOT_FOUND", format!("there is no index {name:?}"));
        error.with(json!({"index": name}))
    }

    /// An index without a document, which cannot be searched.
    pub fn empty_index(name: &str) -> Self {
        let message = format!("index {name:?} has no document yet; add some");
        Self::new(StatusCode::CONFLICT, "INDEX_EMPTY", message).with(json!({"index": name}))
    }

    /// An index whose files cannot be opened.
    pub fn broken_index(name: &str, reason: &str) -> Self {
        let message = format!("index {name:?} cannot be opened: {reason}; mend its files, or delete it");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INDEX_BROKEN", message).with(json!({"index": name}))
    }

    /// An index of a folder whose files are not indexed yet.
    pub fn unread_folder(name: &str) -> Self {
        let message =
            format!("the folder of index {name:?} is not indexed yet: its last task says how far it is, or why");
        Self::new(StatusCode::CONFLICT, "INDEX_EMPTY", message).with(json!({"index": name}))
    }

    /// A document that does not exist.
    pub fn no_document(id: &str) -> Self {
        let error = Self::new(StatusCode::NOT_FOUND, "DOCUMENT_NOT_FOUND", format!("there is no document {id:?}"));
        error.with(json!({"id": id}))
    }

    /// A request that was shed because a queue is full: the client should try again later.
    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
    }

    /// A server that cannot answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message)
    }

    /// A request whose time is over.
    pub fn timed_out() -> Self {
        let message = "the request took longer than its timeout; ask for less, or raise timeout_ms";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", message)
    }

    /// A fault of the server.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message)
    }

    /// Adds values.
    pub fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({"code": self.code, "message": self.message, "details": self.details})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(code = self.code, "{}", self.message);
        }
        let mut response = (self.status, axum::Json(self.body())).into_response();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        // A body that is JSON of another shape is as bad as one that is no JSON.
        let text = rejection.body_text();
        let reason = text.split_once(": ").map_or(&*text, |(_, reason)| reason);
        match rejection {
            JsonRejection::JsonSyntaxError(_) => Self::bad_request(format!("this is not JSON: {reason}")),
            _ => Self::bad_request(reason),
        }
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "BODY_TOO_LARGE",
            _ => "BAD_REQUEST",
        };
        Self::new(rejection.status(), code, rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let (status, code) = of_engine(&error);
        match code {
            // The way out that the message names is the command line's.
            "ID_EXISTS" => Self::new(status, code, format!("{error}, with \"replace\": true")),
            _ => Self::new(status, code, error.to_string()),
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        let (status, code) = of_search(&error);
        Self::new(status, code, error.to_string())
    }
}

/// Status and code of an error of the engine.
fn of_engine(error: &EngineError) -> (StatusCode, &'static str) {
    match error {
        EngineError::Search(error) => of_search(error),
        EngineError::Index(error) => of_index(error),
        EngineError::Backend(error) => of_backend(error),
        EngineError::UnknownIds { .. } => (StatusCode::NOT_FOUND, "DOCUMENT_NOT_FOUND"),
        EngineError::BadOption { .. }
        | EngineError::BadEmbeddings { .. }
        | EngineError::NoDocuments
        | EngineError::NoTokens
        | EngineError::NotFinite { .. }
        | EngineError::NoQueryTexts
        | EngineError::NoQueryEmbeddings
        | EngineError::NoWords { .. }
        | EngineError::NoTextForWords { .. }
        | EngineError::MadeFromEmbeddings { .. }
        | EngineError::WithoutText { .. }
        | EngineError::Line { .. } => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        EngineError::NoEncoder | EngineError::StoredModel { .. } | EngineError::OtherEncoder { .. } => {
            (StatusCode::BAD_REQUEST, "MODEL_NOT_LOADED")
        }
        EngineError::Encoder(_) => (StatusCode::BAD_REQUEST, "MODEL_NOT_LOADED"),
        EngineError::Cancelled => (StatusCode::CONFLICT, "CANCELLED"),
        EngineError::Budget { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "MEMORY_BUDGET"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

fn of_search(error: &SearchError) -> (StatusCode, &'static str) {
    match error {
        SearchError::DimMismatch { .. } => (StatusCode::BAD_REQUEST, "DIMENSION_MISMATCH"),
        SearchError::NotFinite { .. } | SearchError::TooLarge { .. } | SearchError::QueryTooLong { .. } => {
            (StatusCode::BAD_REQUEST, "BAD_EMBEDDINGS")
        }
        SearchError::FilterSyntax { .. } | SearchError::BadFilter { .. } => (StatusCode::BAD_REQUEST, "BAD_FILTER"),
        SearchError::PassageTooLong { .. } => (StatusCode::BAD_REQUEST, "DOCUMENT_TOO_LONG"),
        SearchError::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
        SearchError::OtherGeneration | SearchError::QueueClosed => {
            (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE")
        }
        SearchError::Batch(error) => of_search(error),
        SearchError::Index(error) => of_index(error),
        SearchError::Backend(error) => of_backend(error),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

fn of_index(error: &selvedge::IndexError) -> (StatusCode, &'static str) {
    use selvedge::IndexError as E;
    match error {
        E::IdExists { .. } => (StatusCode::CONFLICT, "ID_EXISTS"),
        E::DuplicateId { .. } | E::InvalidId { .. } | E::Metadata { .. } | E::DocumentTooLarge { .. } => {
            (StatusCode::BAD_REQUEST, "BAD_DOCUMENT")
        }
        E::NoColumns { .. } => (StatusCode::BAD_REQUEST, "BAD_FILTER"),
        E::Locked { .. } | E::Conflict { .. } => (StatusCode::SERVICE_UNAVAILABLE, "LOCKED"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

fn of_backend(error: &BackendError) -> (StatusCode, &'static str) {
    match error {
        BackendError::OutOfDeviceMemory { .. } => (StatusCode::SERVICE_UNAVAILABLE, "OUT_OF_DEVICE_MEMORY"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge::IndexError;

    #[test]
    fn another_writer_is_a_reason_to_try_again() {
        let (path, lock) = (std::path::PathBuf::from("s3://bucket/index"), "lock".into());
        let conflict = IndexError::Conflict { path: path.clone() };
        for error in [conflict, IndexError::Locked { path, holder: String::new(), lock }] {
            let error = ApiError::from(EngineError::from(error));
            assert_eq!((error.status, error.code), (StatusCode::SERVICE_UNAVAILABLE, "LOCKED"));
            assert!(error.message.contains("s3://bucket/index") && error.message.contains("try again"), "{error}");
            assert_eq!(error.into_response().headers()[header::RETRY_AFTER], "1");
        }
    }
}
