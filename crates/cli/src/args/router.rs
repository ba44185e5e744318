//! Arguments of `selvedge router`.

use super::parse::parse_size;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `selvedge router`.
#[derive(Debug, Args)]
pub(crate) struct RouterArgs {
    /// JSON file of a collection and its shards (see below); may be repeated for several collections.
    #[arg(long, value_name = "FILE.json", env = "SELVEDGE_SHARDS", value_delimiter = ',')]
    pub(crate) shards: Vec<PathBuf>,
    /// Folder or URL of a collection that `python -m selvedge_search.ray build` made.
    #[arg(long, value_name = "URL", env = "SELVEDGE_COLLECTION")]
    pub(crate) collection: Option<PathBuf>,
    /// Address of the collection's servers, where {shard} stands for the number of a shard, from 0; may be repeated,
    /// once for each replica.
    #[arg(long = "shard-address", value_name = "PATTERN", env = "SELVEDGE_SHARD_ADDRESSES", value_delimiter = ',')]
    pub(crate) shard_addresses: Vec<String>,
    /// Environment variable that has the API key of the servers at --shard-address.
    #[arg(long, value_name = "NAME", requires = "shard_addresses", env = "SELVEDGE_SHARD_KEY_ENV")]
    pub(crate) shard_key_env: Option<String>,
    /// Least time in milliseconds after which a slow shard is asked again, on another replica.
    #[arg(long, value_name = "MS", default_value_t = 5.0, env = "SELVEDGE_HEDGE_MS", help_heading = "Limits")]
    pub(crate) hedge_ms: f64,
    /// TOML file of settings: the names of the flags, with _ for -. Flags and the environment come first.
    #[arg(long, value_name = "FILE.toml", env = "SELVEDGE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Write the log as JSON, one object per line.
    #[arg(long, env = "SELVEDGE_LOG_JSON")]
    pub(crate) log_json: bool,
    /// Settings that a router shares with a server.
    #[command(flatten)]
    pub(crate) settings: RouterSettings,
}

/// Settings of a router, as far as flags or the environment give them; they have the names of a server's.
#[derive(Debug, Args, serde::Serialize)]
pub(crate) struct RouterSettings {
    /// Address and port [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "SELVEDGE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
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
    /// Largest body of a request [default: 64M].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, env = "SELVEDGE_MAX_BODY", help_heading = "Limits")]
    pub(crate) max_body: Option<u64>,
    /// Requests that are answered at a time; more get 503 [default: 1024].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_REQUESTS", help_heading = "Limits")]
    pub(crate) max_requests: Option<usize>,
    /// Open connections; more wait to be accepted [default: 4096].
    #[arg(long, value_name = "N", env = "SELVEDGE_MAX_CONNECTIONS", help_heading = "Limits")]
    pub(crate) max_connections: Option<usize>,
    /// Longest time of a request in milliseconds [default: 30000].
    #[arg(long, value_name = "MS", env = "SELVEDGE_TIMEOUT_MS", help_heading = "Limits")]
    pub(crate) timeout_ms: Option<u64>,
    /// Time in milliseconds after which changes of the files of --shards are seen; 0 for never [default: 1000].
    #[arg(long, value_name = "MS", env = "SELVEDGE_FOLLOW_MS", help_heading = "Limits")]
    pub(crate) follow_ms: Option<u64>,
    /// Longest time in milliseconds in which a client sends the headers of a request [default: 10000].
    #[arg(long, value_name = "MS", env = "SELVEDGE_HEADERS_TIMEOUT_MS", help_heading = "Limits")]
    pub(crate) headers_timeout_ms: Option<u64>,
    /// Time in seconds that open requests have after a signal to end [default: 30].
    #[arg(long, value_name = "S", env = "SELVEDGE_DRAIN_S", help_heading = "Limits")]
    pub(crate) drain_s: Option<u64>,
}
