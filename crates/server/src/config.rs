//! Settings of a server. Each may come from a flag, the environment or a TOML file: see the table in the README.

use crate::auth::ApiKey;
use crate::error::{ApiError, Result};
use serde::Deserialize;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Settings of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the indexes that clients create. Without one, clients cannot create any.
    pub data: Option<PathBuf>,
    /// Indexes made elsewhere, served by the names of their folders.
    pub indexes: Vec<PathBuf>,
    /// Folders of documents: each is served as an index, which is brought up to date with its files. They have no key
    /// in a file of settings, and clients cannot name any: whoever starts the process does.
    #[serde(skip)]
    pub folders: Vec<PathBuf>,
    /// Folder in which the indexes of [`Config::folders`] are kept, one folder each; made if it does not exist.
    #[serde(skip)]
    pub folder_data: PathBuf,
    /// Address and port.
    pub listen: SocketAddr,
    /// Device that scores passages and compresses: `cpu`, `cuda`, `cuda/1`.
    pub device: String,
    /// Model of the indexes that are created without naming one, and of requests without an index.
    pub model: String,
    /// Threads of reads; 0 for one per core.
    pub threads: usize,
    /// Threads of writes; 0 for half of the cores.
    pub write_threads: usize,
    /// Bytes of memory of a write, without the model.
    pub memory_budget: u64,
    /// Largest body of a request in bytes, but for bulk loads, which are streams.
    pub max_body: usize,
    /// Largest number of requests that are answered at the same time; more are refused with 503.
    pub max_requests: usize,
    /// Largest number of streams of events; more are refused with 503.
    pub max_streams: usize,
    /// Largest number of open connections; more wait to be accepted.
    pub max_connections: usize,
    /// Largest number of requests that wait for a model, an index or a thread; more are refused with 429.
    pub max_waiting: usize,
    /// Largest number of writes that wait for one index; more are refused with 429.
    pub max_waiting_writes: usize,
    /// Largest number of queries that are encoded or searched together.
    pub max_batch: usize,
    /// Longest time in milliseconds that a query waits under load for others to be encoded with it.
    pub max_wait_ms: f64,
    /// Longest time in milliseconds of a request, unless it names a shorter one. Writes and streams have none.
    pub timeout_ms: u64,
    /// Longest time in milliseconds in which a client sends the headers of a request, and makes a TLS connection.
    pub headers_timeout_ms: u64,
    /// Time in seconds for which cursors keep their generation after the next one was committed.
    pub cursor_ttl_s: u64,
    /// Time in milliseconds after which changes by other processes are seen; 0 for never.
    pub follow_ms: u64,
    /// Whether an index trains another codec when what was added does not fit its own.
    pub auto_retrain: bool,
    /// Origins of other sites whose pages may call the API; `*` for all. Empty: none.
    pub cors_origins: Vec<String>,
    /// Keys of clients. Without any, every client may do everything.
    pub keys: Vec<ApiKey>,
    /// Certificate chain in PEM, for TLS.
    pub tls_cert: Option<PathBuf>,
    /// Private key in PEM, for TLS.
    pub tls_key: Option<PathBuf>,
    /// Longest time in seconds in which open requests are answered after a signal to end.
    pub drain_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: None,
            indexes: Vec::new(),
            folders: Vec::new(),
            folder_data: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            device: "cpu".into(),
            model: "shipped".into(),
            threads: 0,
            write_threads: 0,
            memory_budget: 4 << 30,
            max_body: 64 << 20,
            max_requests: 1024,
            max_streams: 256,
            max_connections: 4096,
            max_waiting: 512,
            max_waiting_writes: 64,
            max_batch: 32,
            max_wait_ms: 2.0,
            timeout_ms: 30_000,
            headers_timeout_ms: 10_000,
            cursor_ttl_s: 60,
            follow_ms: 1000,
            auto_retrain: true,
            cors_origins: Vec::new(),
            keys: Vec::new(),
            tls_cert: None,
            tls_key: None,
            drain_s: 30,
        }
    }
}

impl Config {
    /// Checks what the types leave open.
    pub(crate) fn check(&self) -> Result<()> {
        let mut hashes = HashSet::new();
        for ApiKey { name, sha256, .. } in &self.keys {
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(ApiError::bad_request(format!("key {name:?}: sha256 is not 64 hexadecimal digits")));
            }
            if !hashes.insert(sha256.to_ascii_lowercase()) {
                return Err(ApiError::bad_request(format!("key {name:?}: another one has its sha256")));
            }
        }
        for origin in &self.cors_origins {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            let is_origin = authority.is_some_and(|name| !name.is_empty() && !name.contains(['/', ' ', '?', '#']));
            if origin != "*" && !is_origin {
                let message = format!("cors_origins: {origin:?} is no origin, such as https://example.org");
                return Err(ApiError::bad_request(message));
            }
        }
        match self.max_wait_ms.is_finite() && self.max_wait_ms >= 0.0 {
            true => Ok(()),
            false => Err(ApiError::bad_request(format!("max_wait_ms: {} is no time", self.max_wait_ms))),
        }
    }

    /// The settings with numbers that queues can have.
    pub(crate) fn limited(mut self) -> Self {
        for number in [&mut self.max_requests, &mut self.max_connections, &mut self.max_waiting] {
            *number = (*number).clamp(1, Semaphore::MAX_PERMITS);
        }
        for number in [&mut self.max_streams, &mut self.max_waiting_writes] {
            *number = (*number).min(Semaphore::MAX_PERMITS);
        }
        self
    }

    /// Longest time of a request that asks for `timeout_ms`, if it does.
    pub(crate) fn timeout(&self, timeout_ms: Option<u64>) -> Duration {
        Duration::from_millis(timeout_ms.unwrap_or(self.timeout_ms).min(self.timeout_ms))
    }
}
