//! Connections: accepts them, with TLS if there is a certificate, and drains them at the end.

use crate::Config;
use crate::error::{ApiError, Result};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::util::MapRequest;

/// Time after which a silent HTTP/2 connection is asked whether its client is there.
const PING: Duration = Duration::from_secs(20);
/// Time that a connection without a request has after the server was asked to end.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Most requests of an HTTP/2 connection at a time.
const MOST_STREAMS: u32 = 64;
/// Most headers of a request, and most bytes of all of them.
const MOST_HEADERS: usize = 100;
const HEADER_BYTES: usize = 64 << 10;

/// Reads the certificate and the key of the settings, if there are any.
///
/// # Errors
/// If only one of them is set, or a file is not what it should be.
pub(crate) fn tls(config: &Config) -> Result<Option<TlsAcceptor>> {
    let (cert, key) = match (&config.tls_cert, &config.tls_key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(ApiError::bad_request("TLS needs both a certificate and a key")),
    };
    let bad =
        |path: &Path, error: &dyn std::fmt::Display| ApiError::bad_request(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|error| bad(cert, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let made = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private);
    let mut config = made.map_err(|error| bad(cert, &format!("with the key of {}: {error}", key.display())))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Settings of connections, and the end of the server.
pub(crate) struct Serving {
    /// Settings.
    pub(crate) config: Arc<Config>,
    /// Whether the server ends.
    pub(crate) ends: watch::Receiver<bool>,
}

impl Serving {
    /// Resolves when the server ends.
    async fn ended(&self) {
        // Without its sender it has ended, too.
        let _ = self.ends.clone().wait_for(|ends| *ends).await;
    }
}

/// Serves connections until `end` resolves, then lets the open ones finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    serving: &Arc<Serving>,
    end: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(serving.config.max_connections));
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let accepted = tokio::select! {
            accepted = accept => accepted,
            () = &mut end => break,
        };
        match accepted {
            Ok((stream, place)) => {
                let watcher = graceful.watcher();
                tokio::spawn(connection(stream, router.clone(), tls.clone(), watcher, Arc::clone(serving), place));
            }
            Err(error) => {
                // Too many open files, most often: they will be fewer.
                tracing::warn!("a connection is not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let drain_s = serving.config.drain_s;
    let drained = tokio::time::timeout(Duration::from_secs(drain_s), graceful.shutdown()).await;
    if drained.is_err() {
        tracing::warn!("some requests did not end in {} s, and are cut off", drain_s);
    }
}

/// Serves one connection; `_place` is freed at its end.
async fn connection(
    stream: TcpStream,
    router: Router,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
    serving: Arc<Serving>,
    _place: OwnedSemaphorePermit,
) {
    let headers_time = Duration::from_millis(serving.config.headers_timeout_ms);
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    // A client that does not read its answer keeps the connection no longer.
    stream.set_write_timeout(Some(serving.config.timeout(None)));
    let stream = Box::pin(stream);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(headers_time);
    builder.http1().max_headers(MOST_HEADERS).max_buf_size(HEADER_BYTES);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES as u32);
    builder.http2().keep_alive_interval(Some(PING)).max_concurrent_streams(MOST_STREAMS);
    let has_request = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&has_request);
    let note = move |request| {
        noted.store(true, Ordering::Relaxed);
        request
    };
    let service = TowerToHyperService::new(MapRequest::new(router, note));
    let serve = async {
        let served = match tls {
            None => watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await,
                Err(error) => return tracing::debug!("a TLS connection is not made: {error}"),
            },
        };
        if let Err(error) = served {
            tracing::debug!("a connection broke: {error}");
        }
    };
    tokio::select! {
        () = serve => {}
        () = silence(&serving, headers_time, &has_request) => {}
    }
}

/// Resolves if no request has come in its time, which is short once the server ends. Until the first request is there,
/// neither TLS nor the HTTP server watches the time.
async fn silence(serving: &Serving, headers_time: Duration, has_request: &AtomicBool) {
    let ended = async {
        serving.ended().await;
        tokio::time::sleep(headers_time.min(LAST_WORDS)).await;
    };
    tokio::select! {
        () = tokio::time::sleep(headers_time) => {}
        () = ended => {}
    }
    if has_request.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}
