//! Requests of clients: bodies, paths, headers, lines of a bulk load.
//!
//! Input: the number of the route in one byte, and its body; with the highest bit of the number set, steps that spoil a
//! body which is right. Nothing may panic, no answer may be a fault of the server, every error is JSON with a code and
//! a message, and none takes long.

#![no_main]

mod requests;
mod seeds;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use requests::{Kind, ROUTES, spoiled};
use selvedge_server::{ApiKey, App, Config, Role, hash, router};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Inputs beside the routes of JSON.
const OTHERS: [(&str, &[u8]); 6] = [
    (
        "bulk",
        b"{\"id\": \"a\", \"text\": \"A red pie.\", \"metadata\": {\"pages\": 7}}\n\n{\"id\": 2, \"text\": \"Tea\"}",
    ),
    ("bulk-embedded", b"{\"id\": \"a\", \"embeddings\": [[1, 0, 0, 0, 0, 0, 0, 0]]}\n{\"id\": \"b\"}\n"),
    ("path", b"/v1/indexes/t/documents?id=0"),
    ("key", b"Bearer slv_0123456789abcdef"),
    ("host", b"localhost:8080"),
    ("origin", b"http://localhost:8080"),
];
/// Longest time of a request. The server's own limit is shorter.
const LONGEST: Duration = Duration::from_secs(10);
/// Number of writes after which the indexes to write are made anew.
const FRESH: usize = 64;

/// Servers without a network: one that everyone may use, one with keys.
struct Servers {
    runtime: Runtime,
    open: Router,
    locked: Router,
    writes: AtomicUsize,
    _folder: tempfile::TempDir,
}

static SERVERS: LazyLock<Servers> = LazyLock::new(|| {
    let numbered = ROUTES.iter().enumerate();
    let whole = numbered.clone().map(|(at, (.., body))| (format!("{at}"), [&[at as u8], body.as_bytes()].concat()));
    let steps = numbered.map(|(at, _)| (format!("{at}-steps"), vec![at as u8 | 0x80, 1, 2, 9, b'x']));
    let others = OTHERS.iter().enumerate();
    let others = others.map(|(at, (name, body))| (format!("{name}"), [&[(ROUTES.len() + at) as u8], *body].concat()));
    seeds::write(whole.chain(steps).chain(others));
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config {
        data: Some(folder.path().join("data")),
        threads: 2,
        timeout_ms: 2000,
        auto_retrain: false,
        follow_ms: 0,
        max_body: 1 << 20,
        ..Config::default()
    };
    let keys = vec![ApiKey { name: "reader".into(), role: Role::Read, sha256: hash("slv_0123456789abcdef") }];
    let locked = Config { data: None, keys, ..config.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let runtime = runtime.expect("a thread");
    let guard = runtime.enter();
    let make = |config| router(&App::new(config).expect("a server"));
    let (open, locked) = (make(config), make(locked));
    drop(guard);
    let servers = Servers { runtime, open, locked, writes: AtomicUsize::new(0), _folder: folder };
    for (name, dim) in [("t", None), ("e", Some(8)), ("w", None), ("v", Some(8))] {
        servers.fill(name, dim);
    }
    servers
});

fuzz_target!(|data: &[u8]| {
    let Some((&number, body)) = data.split_first() else { return };
    let servers = &*SERVERS;
    let route = usize::from(number & 0x7f) % (ROUTES.len() + OTHERS.len());
    match ROUTES.get(route) {
        Some((kind, method, path, right)) => {
            let spoilt = (number & 0x80 != 0).then(|| spoiled(right, body));
            let body = spoilt.as_ref().map_or_else(|| body.to_vec(), |body| body.to_string().into_bytes());
            servers.before(*kind);
            let (status, answer) = servers.check(&servers.open, method, path, &[], body);
            if *kind == Kind::Create && status.is_success() {
                let name = answer["name"].as_str().expect("the name of an index").to_owned();
                servers.check(&servers.open, "DELETE", &format!("/v1/indexes/{name}"), &[], Vec::new());
            }
        }
        None => servers.other(OTHERS[route - ROUTES.len()].0, body),
    }
});

impl Servers {
    /// Makes an index with three documents.
    fn fill(&self, name: &str, dim: Option<usize>) {
        let made = self.check(&self.open, "POST", "/v1/indexes", &[], text(json!({"name": name, "dim": dim})));
        assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
        let document = |n: usize| {
            let metadata = json!({"pages": n, "tags": ["food"], "made": "2024-05-06"});
            let mut document = json!({"id": n, "text": format!("{n} red pie and tea"), "metadata": metadata});
            if dim.is_some() {
                document["embeddings"] = json!([[1.0, n, 0, 0, 0, 0, 0, 0.5], [0, 1, n, 0, 0, 0.25, 0, 0]]);
            }
            document
        };
        let documents = text(json!({"documents": (0..3).map(document).collect::<Vec<_>>()}));
        let added = self.check(&self.open, "POST", &format!("/v1/indexes/{name}/documents"), &[], documents);
        assert_eq!(added.0, StatusCode::OK, "{}", added.1);
    }

    /// Makes the indexes to write anew after some writes.
    fn before(&self, kind: Kind) {
        if kind == Kind::Write && self.writes.fetch_add(1, Ordering::Relaxed) % FRESH == FRESH - 1 {
            for (name, dim) in [("w", None), ("v", Some(8))] {
                self.check(&self.open, "DELETE", &format!("/v1/indexes/{name}"), &[], Vec::new());
                self.fill(name, dim);
            }
        }
    }

    /// Sends an input that is no body of JSON.
    fn other(&self, what: &str, bytes: &[u8]) {
        let header = |name: header::HeaderName| HeaderValue::from_bytes(bytes).ok().map(|value| (name, value));
        match what {
            "bulk" | "bulk-embedded" => {
                self.before(Kind::Write);
                let path = if what == "bulk" { "/v1/indexes/w/bulk" } else { "/v1/indexes/v/bulk" };
                self.check(&self.open, "POST", path, &[], bytes.to_vec());
            }
            "path" => {
                if let Ok(path) = std::str::from_utf8(bytes) {
                    self.check(&self.open, "GET", path, &[], Vec::new());
                }
            }
            "key" => {
                for name in [header::AUTHORIZATION, header::HeaderName::from_static("x-api-key")] {
                    let Some(header) = header(name) else { return };
                    self.check(&self.locked, "GET", "/v1/indexes", &[header], Vec::new());
                }
            }
            _ => {
                let name = if what == "host" { header::HOST } else { header::ORIGIN };
                let Some(header) = header(name) else { return };
                self.check(&self.open, "GET", "/v1/info", &[header], Vec::new());
            }
        }
    }

    /// Sends a request, and checks its answer.
    fn check(
        &self,
        router: &Router,
        method: &str,
        path: &str,
        headers: &[(header::HeaderName, HeaderValue)],
        body: Vec<u8>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // What is no URI never gets past the HTTP server.
        let Ok(request) = request.body(Body::from(body)) else { return (StatusCode::BAD_REQUEST, Value::Null) };
        let started = Instant::now();
        let (status, kind, body) = self.runtime.block_on(async {
            let answer = router.clone().oneshot(request).await.expect("an answer");
            let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
            let is_endless = kind.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            let status = answer.status();
            let body =
                if is_endless { Bytes::new() } else { to_bytes(answer.into_body(), 1 << 30).await.expect("a body") };
            (status, kind, body)
        });
        assert!(started.elapsed() < LONGEST, "{method} {path}: {:?}", started.elapsed());
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_fault = status.is_server_error() && status.as_u16() != 503;
        assert!(!is_fault, "{method} {path}: {status} {answer}");
        if status.is_client_error() || status.is_server_error() {
            let is_error = answer["code"].is_string() && answer["message"].is_string();
            assert!(is_error, "{method} {path}: {status} {kind:?} {}", String::from_utf8_lossy(&body));
        }
        (status, answer)
    }
}

fn text(body: Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
