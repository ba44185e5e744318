//! TLS: requests, certificates that do not fit, and clients that are silent or speak something else.

use crate::support::Server;
use rcgen::CertifiedKey;
use selvedge_server::{Config, serve};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Longest time of silence in these tests.
const SILENCE: Duration = Duration::from_millis(300);
/// Time in which the server must have acted on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Files of a certificate for localhost and of its key, and the certificate itself.
struct Files {
    cert: PathBuf,
    key: PathBuf,
    root: CertificateDer<'static>,
}

fn certificate(dir: &Path, name: &str) -> Files {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let files =
        Files { cert: dir.join(format!("{name}.crt")), key: dir.join(format!("{name}.key")), root: cert.der().clone() };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    files
}

/// A server with TLS, and its certificate.
fn server() -> (Server, CertificateDer<'static>) {
    let dir = tempfile::tempdir().unwrap();
    let Files { cert, key, root } = certificate(dir.path(), "own");
    let server = Server::in_dir(dir, |config| {
        (config.tls_cert, config.tls_key) = (Some(cert), Some(key));
        config.headers_timeout_ms = SILENCE.as_millis() as u64;
    });
    (server, root)
}

/// A request over TLS, which must be answered.
fn is_answered(server: &Server, root: &CertificateDer<'_>) -> bool {
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(root).to_owned()]);
    let tls = TlsConfig::builder().root_certs(roots).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let mut answer = agent.get(format!("https://localhost:{}/v1/info", server.address.port())).call().unwrap();
    let info: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    info["role"] == "admin"
}

/// A connection that gives up when nothing happens.
fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until the server closes the connection, which it must do soon.
fn until_closed(mut stream: impl Read) -> Vec<u8> {
    let (started, mut bytes) = (Instant::now(), Vec::new());
    // A connection without a goodbye is closed, too.
    if let Err(error) = stream.read_to_end(&mut bytes) {
        let is_closed = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
        assert!(is_closed, "{error}");
    }
    assert!(started.elapsed() < PATIENCE);
    bytes
}

#[test]
fn requests_are_answered_over_tls() {
    let (server, root) = server();
    assert!(is_answered(&server, &root));
    let stranger = certificate(server.dir.path(), "stranger");
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(&stranger.root).to_owned()]);
    let tls = TlsConfig::builder().root_certs(roots).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let url = format!("https://localhost:{}/v1/info", server.address.port());
    assert!(agent.get(url).call().is_err(), "another certificate is not trusted");
}

#[test]
fn plain_http_gets_no_answer() {
    let (server, root) = server();
    let mut stream = connect(&server);
    stream.write_all(b"GET /v1/info HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let answer = until_closed(stream);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    assert!(is_answered(&server, &root));
}

#[test]
fn silent_clients_are_cut_off() {
    let (server, root) = server();
    assert_eq!(until_closed(connect(&server)), b"", "silent from the beginning");
    // In the middle of the handshake.
    let mut stream = connect(&server);
    stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    until_closed(stream);
    // After it.
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, connect(&server));
    stream.conn.complete_io(&mut stream.sock).unwrap();
    assert!(!stream.conn.is_handshaking());
    assert_eq!(until_closed(&mut stream), b"");
    assert!(is_answered(&server, &root));
}

#[test]
fn certificates_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (own, other) = (certificate(dir.path(), "own"), certificate(dir.path(), "other"));
    let none = dir.path().join("none.pem");
    let text = dir.path().join("text.pem");
    std::fs::write(&text, "no PEM at all").unwrap();
    let error = |cert: Option<&Path>, key: Option<&Path>| {
        let config = Config {
            data: Some(dir.path().join("data")),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_cert: cert.map(Path::to_owned),
            tls_key: key.map(Path::to_owned),
            ..Config::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(config, |_| {}, std::future::ready(()))).unwrap_err().message
    };
    for (cert, key, named) in [
        (&none, &own.key, &none),
        (&own.cert, &none, &none),
        (&text, &own.key, &text),
        (&own.cert, &text, &text),
        (&own.cert, &other.key, &own.cert),
        (&own.cert, &other.key, &other.key),
    ] {
        let message = error(Some(cert), Some(key));
        assert!(message.contains(named.to_str().unwrap()), "{message}");
    }
    assert!(error(Some(&own.cert), None).contains("a key"));
}
