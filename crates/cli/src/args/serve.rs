//! Arguments of `selvedge serve`, most of which `selvedge mcp` shares.

use super::parse::parse_size;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `selvedge serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// TOML file of settings: the names of the flags, with _ for -. Flags and the environment come first.
    #[arg(long, value_name = "FILE.toml", env = "SELVEDGE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Serve this shard, from 0, of INDEX, which is a collection that `python -m selvedge_search.ray build` made.
    #[arg(long, value_name = "N", env = "SELVEDGE_SHARD")]
    pub(crate) shard: Option<usize>,
    /// Write the log as JSON, one object per line.
    #[arg(long, env = "SELVEDGE_LOG_JSON")]
    pub(crate) log_json: bool,
    /// Print a new API key of a role (read, write, admin) and its entry for the settings, and end.
    #[arg(long, value_name = "ROLE")]
    pub(crate) new_key: Option<String>,
    /// Ask the server of these settings whether it is ready, and end: with 0 if it is. For health checks.
    #[arg(long)]
    pub(crate) check: bool,
    /// Settings of the server.
    #[command(flatten)]
    pub(crate) settings: ServeSettings,
}

/// Settings of the server, as far as flags or the environment give them.
#[derive(Debug, Args, serde::Serialize)]
pub(crate) struct ServeSettings {
    /// Folders of indexes to serve, by the names of the folders.
    #[arg(value_name = "INDEX")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) indexes: Vec<PathBuf>,
    /// Folder of the indexes that clients create; made if it does not exist.
    #[arg(long, value_name = "DIR", env = "SELVEDGE_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Address and port [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "SELVEDGE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Device that scores: cpu, cuda, cuda/1, ... [default: cpu].
    #[arg(long, value_name = "DEVICE", env = "SELVEDGE_DEVICE")]
    pub(crate) device: Option<String>,
    /// Model of new indexes and of requests that name no index [default: shipped].
    #[arg(long, value_name = "DIR|HUB_ID", env = "SELVEDGE_MODEL")]
    pub(crate) model: Option<String>,
    /// Threads of searches and encoding [default: one per core].
    #[arg(long, value_name = "N", env = "SELVEDGE_THREADS")]
    pub(crate) threads: Option<usize>,
    /// Threads of writes [default: half of the cores].
    #[arg(long, value_name = "N", env = "SELVEDGE_WRITE_THREADS")]
    pub(crate) write_threads: Option<usize>,
    /// Memory of a write, without the model [default: 4G].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, env = "SELVEDGE_MEMORY_BUDGET")]
    pub(crate) memory_budget: Option<u64>,
    /// Certificate chain in PEM, for TLS.
    #[arg(long, value_name = "FILE", env = "SELVEDGE_TLS_CERT", help_heading = "Access")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key in PEM, for TLS.
    #[arg(long, value_name = "FILE", env = "SELVEDGE_TLS_KEY", help_heading = "Access")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Origin whose pages may call the API, such as https://example.org, or * for all; may be repeated.
    #[arg(long = "cors-origin", value_name = "ORIGIN", help_heading = "Access")]
    #[arg(env = "SELVEDGE_CORS_ORIGINS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cors_origins: Vec<String>,
    /// Largest body of a request; bulk loads are streams without one [default: 64M].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, env = "SELVEDGE_MAX_BODY", help_heading = "Limits")]
    pub(crate) max_body: Option<u64>,
    /// Requests that are answered at a time; more get 503 [default: 1024].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_REQUESTS", help_heading = "Limits")]
    pub(crate) max_requests: Option<usize>,
    /// Streams of events; more get 503 [default: 256].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_STREAMS", help_heading = "Limits")]
    pub(crate) max_streams: Option<usize>,
    /// Open connections; more wait to be accepted [default: 4096].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_CONNECTIONS", help_heading = "Limits")]
    pub(crate) max_connections: Option<usize>,
    /// Requests that wait for a model, an index or a thread; more get 429 [default: 512].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_WAITING", help_heading = "Limits")]
    pub(crate) max_waiting: Option<usize>,
    /// Writes that wait for an index; more get 429 [default: 64].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_WAITING_WRITES", help_heading = "Limits")]
    pub(crate) max_waiting_writes: Option<usize>,
    /// Longest time of a request in milliseconds; writes have none [default: 30000].
    #[arg(long, value_name = "MS", env = "SELVEDGE_TIMEOUT_MS", help_heading = "Limits")]
    pub(crate) timeout_ms: Option<u64>,
    /// Longest time in milliseconds in which a client sends the headers of a request [default: 10000].
    #[arg(long, value_name = "MS", env = "SELVEDGE_HEADERS_TIMEOUT_MS", help_heading = "Limits")]
    pub(crate) headers_timeout_ms: Option<u64>,
    /// Time in seconds that open requests have after a signal to end [default: 30].
    #[arg(long, value_name = "S", env = "SELVEDGE_DRAIN_S", help_heading = "Limits")]
    pub(crate) drain_s: Option<u64>,
    /// Queries that are encoded or searched together [default: 32].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_BATCH", help_heading = "Queues")]
    pub(crate) max_batch: Option<usize>,
    /// Longest time in milliseconds that a text waits for others under load [default: 2].
    #[arg(long, value_name = "MS", env = "SELVEDGE_MAX_WAIT_MS", help_heading = "Queues")]
    pub(crate) max_wait_ms: Option<f64>,
    /// Time in seconds for which cursors keep a generation that was replaced [default: 60].
    #[arg(long, value_name = "S", env = "SELVEDGE_CURSOR_TTL_S", help_heading = "Queues")]
    pub(crate) cursor_ttl_s: Option<u64>,
    /// Time in milliseconds after which changes by other processes are seen; 0 for never [default: 1000].
    #[arg(long, value_name = "MS", env = "SELVEDGE_FOLLOW_MS", help_heading = "Queues")]
    pub(crate) follow_ms: Option<u64>,
    /// Whether an index trains another codec when its own no longer fits [default: true].
    #[arg(long, value_name = "BOOL", env = "SELVEDGE_AUTO_RETRAIN", help_heading = "Queues")]
    pub(crate) auto_retrain: Option<bool>,
}
