//! One request to one replica, over pooled HTTP/2 connections.

use super::error::CallError;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longest time in which a connection is made.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// Time after which a silent connection is asked whether its server is there, and the time to answer.
const PING: Duration = Duration::from_secs(5);
/// Connections to a replica: a server answers 64 requests of each at a time.
const CONNECTIONS: usize = 4;
/// Largest answer of a shard, and largest error.
const MOST_BYTES: usize = 1 << 30;
const MOST_ERROR_BYTES: usize = 64 << 10;
/// Most characters of a replica's own words in the reason of a failure.
const LONGEST_WORDS: usize = 300;

/// Client of all replicas.
pub(crate) struct ShardClient {
    clients: Vec<Client<HttpConnector, Body>>,
    next: AtomicUsize,
}

/// Request that may be sent to several replicas.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and parameters.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// `Authorization`, if the servers need a key.
    pub(crate) key: Option<HeaderValue>,
}

impl ShardClient {
    /// Makes a client without connections.
    pub(crate) fn new() -> Self {
        let client = || {
            let mut connector = HttpConnector::new();
            connector.set_connect_timeout(Some(CONNECT_TIME));
            connector.set_nodelay(true);
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .http2_only(true)
                .http2_keep_alive_interval(Some(PING))
                .http2_keep_alive_timeout(PING)
                .build(connector)
        };
        Self { clients: (0..CONNECTIONS).map(|_| client()).collect(), next: AtomicUsize::new(0) }
    }

    /// Sends a request to the server at `base`, and returns the body of its answer.
    ///
    /// # Errors
    /// [`CallError::Refused`] if the request is wrong, [`CallError::Gone`] if its version is not kept any more,
    /// [`CallError::Failed`] if another replica may do better.
    pub(crate) async fn send(&self, base: &str, call: &Call) -> Result<Bytes, CallError> {
        let failed = |reason: String| CallError::Failed(format!("{base}: {reason}"));
        let uri: Uri = format!("{base}{}", call.path).parse().map_err(|error| failed(format!("{error}")))?;
        let mut request = Request::builder().method(&call.method).uri(uri);
        if !call.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &call.key {
            request = request.header(header::AUTHORIZATION, key);
        }
        let request = request.body(Body::from(call.body.clone())).map_err(|error| failed(error.to_string()))?;
        let client = &self.clients[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS];
        let response = client.request(request).await.map_err(|error| failed(reason(&error)))?;
        let status = response.status();
        let most = if status == StatusCode::OK { MOST_BYTES } else { MOST_ERROR_BYTES };
        let body = to_bytes(Body::new(response.into_body()), most).await;
        let body = body.map_err(|error| failed(format!("{}: {}", status.as_u16(), reason(&error))))?;
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(error_of(base, status, &body)),
        }
    }
}

/// Error of an answer, which says whether another replica may do better.
fn error_of(base: &str, status: StatusCode, body: &[u8]) -> CallError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_wrong =
        matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE);
    match body["code"].as_str() {
        Some("VERSION_GONE") => CallError::Gone,
        // No replica has a document that is not in the index.
        Some("DOCUMENT_NOT_FOUND") => CallError::Refused(status, body),
        Some(_) if is_wrong => CallError::Refused(status, body),
        code => {
            let words = format!("{}: {}", code.unwrap_or("no JSON"), body["message"].as_str().unwrap_or_default());
            let words: String = words.chars().take(LONGEST_WORDS).collect();
            CallError::Failed(format!("{base}: {} {words}", status.as_u16()))
        }
    }
}

/// Returns an error with its innermost reason, the system's.
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.to_string() {
        reason if std::ptr::eq(innermost, error) => reason,
        reason => format!("{error}: {reason}"),
    }
}
