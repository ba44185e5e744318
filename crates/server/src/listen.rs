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
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// Time after which a silent HTTP/2 connection is asked whether its client is there.
const PING: Duration = Duration::from_secs(20);
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

/// Serves connections until `end` resolves, then lets the open ones finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    config: &Config,
    end: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(config.max_connections.max(1)));
    let headers_time = Duration::from_millis(config.headers_timeout_ms);
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
                tokio::spawn(connection(stream, router.clone(), tls.clone(), watcher, headers_time, place));
            }
            Err(error) => {
                // Too many open files, most often: they will be fewer.
                tracing::warn!("a connection is not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(Duration::from_secs(config.drain_s), graceful.shutdown()).await;
    if drained.is_err() {
        tracing::warn!("some requests did not end in {} s, and are cut off", config.drain_s);
    }
}

/// Serves one connection; `_place` is freed at its end.
async fn connection(
    stream: TcpStream,
    router: Router,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
    headers_time: Duration,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    // The first byte: until then, the HTTP server does not watch the time.
    if !matches!(tokio::time::timeout(headers_time, stream.peek(&mut [0])).await, Ok(Ok(1))) {
        return;
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(headers_time);
    builder.http1().max_headers(MOST_HEADERS).max_buf_size(HEADER_BYTES);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES as u32);
    builder.http2().keep_alive_interval(Some(PING));
    let service = TowerToHyperService::new(router);
    let result = match tls {
        None => watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await,
        Some(tls) => match tokio::time::timeout(headers_time, begun(&tls, stream)).await {
            Ok(Ok(stream)) => watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await,
            _ => return,
        },
    };
    if let Err(error) = result {
        tracing::debug!("a connection broke: {error}");
    }
}

/// Makes a TLS connection, and waits for the first byte in it: the one before was of the handshake.
async fn begun(tls: &TlsAcceptor, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let mut stream = tls.accept(stream).await?;
    match stream.fill_buf().await?.is_empty() {
        true => Err(ErrorKind::UnexpectedEof.into()),
        false => Ok(stream),
    }
}
