//! HTTP server of late-interaction retrieval: indexes that live, search, explanations, a page.
//!
//! **In:** a [`Config`]. **Out:** answers, until the process is asked to end. The README has the routes.
//!
//! ```text
//! request ──router──> routes ──> encoding (a queue per model) ──> search queue ──> hits      pool of reads
//!                       └──────> served: writes of one index, one at a time                  pool of writes
//! ```
//!
//! Assistants call the same functions as tools, at `/mcp` or on standard input and output (`mcp/`). Folders of
//! documents have indexes that are kept up to date with them (`folders.rs`).
//!
//! The async threads parse, wait and write; all computation runs on two rayon pools (`work.rs`), so that reads never
//! wait for writes. A search answers from the generation that was committed last; a write is one commit, and answers
//! with its generation.
#![forbid(unsafe_code)]

mod auth;
mod changes;
mod compat;
mod config;
mod cursor;
mod encoding;
mod error;
mod folders;
mod gate;
mod listen;
mod mcp;
mod metrics;
mod models;
mod page;
mod router;
mod routes;
mod served;
mod settings;
mod shards;
mod state;
mod tasks;
mod trace;
mod work;

pub use auth::{ApiKey, Role, hash, new_key};
pub use config::Config;
pub use error::{ApiError, Result};
pub use router::router;
pub use shards::{RouterConfig, Source, Table, route};
pub use state::App;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serves until `end` resolves; then answers the requests that are open, and returns.
///
/// `started` is called with the address once requests are accepted.
///
/// # Errors
/// If an index, a certificate or the address cannot be used.
pub async fn serve(config: Config, started: impl FnOnce(SocketAddr), end: impl Future<Output = ()>) -> Result<()> {
    let tls = listen::tls(&config)?;
    let address = config.listen;
    let unusable = |error| ApiError::bad_request(format!("{address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let app = open(config).await?;
    started(address);
    let following = tokio::spawn(follow(Arc::clone(&app)));
    let of_end = Arc::clone(&app);
    let ended = async move {
        end.await;
        of_end.end();
    };
    listen::serve(listener, router(&app), tls, &app.serving(), ended).await;
    following.abort();
    last_writes(&app).await;
    Ok(())
}

/// Serves the Model Context Protocol on standard input and output, until the input or `end` ends.
///
/// # Errors
/// If an index cannot be used, or the client does not begin with a handshake.
pub async fn serve_stdio(config: Config, end: impl Future<Output = ()>) -> Result<()> {
    let app = open(config).await?;
    let following = tokio::spawn(follow(Arc::clone(&app)));
    let served = mcp::stdio(&app, end).await;
    app.end();
    following.abort();
    last_writes(&app).await;
    served
}

/// Opens all indexes, and begins to bring the indexes of folders up to date.
async fn open(config: Config) -> Result<Arc<App>> {
    let opening = tokio::task::spawn_blocking(move || App::new(config));
    let app = opening.await.map_err(|error| ApiError::internal(error.to_string()))??;
    for served in app.indexes().iter().filter(|served| served.folder.is_some()) {
        if let Err(error) = folders::queue_update(&app, served) {
            tracing::warn!(index = served.name, "not brought up to date now: {error}");
        }
    }
    Ok(app)
}

/// Waits for the writes that run. They were acknowledged only when they were committed; those that wait for no client
/// end here.
async fn last_writes(app: &App) {
    for served in app.indexes() {
        drop(served.turn().await);
    }
}

/// Follows to changes of other processes, from time to time.
async fn follow(app: Arc<App>) {
    let upkeep = metrics::start();
    let pause = Duration::from_millis(if app.config.follow_ms == 0 { 1000 } else { app.config.follow_ms });
    loop {
        tokio::time::sleep(pause).await;
        upkeep.run_upkeep();
        if app.config.follow_ms == 0 {
            continue;
        }
        for served in app.indexes() {
            let (all, of_work) = (Arc::clone(&app), Arc::clone(&served));
            match work::blocking(move || of_work.follow(&all)).await {
                Ok(Ok(true)) => app.notify(&served.name),
                Ok(Ok(false)) => {}
                Ok(Err(error)) | Err(error) => tracing::warn!(index = served.name, "not followed: {error}"),
            }
        }
    }
}
