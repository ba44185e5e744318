//! Replicas that answer wrongly, hang or are overrun: the router goes to others, and its answers stay right.

use crate::collection::{Collection, QUERIES, base, found, on_one, router, router_with};
use crate::support::{Server, ids};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const SEARCH: &str = "/v1/indexes/all/search";

/// Changes an answer of a server to a request at a path; `None` for no answer.
type Lie = fn(&str, StatusCode, Bytes) -> Option<(StatusCode, Bytes)>;

/// A replica that passes requests on to a server, and changes the answers.
#[derive(Clone)]
struct Liar {
    address: SocketAddr,
    server: SocketAddr,
    client: Client<HttpConnector, Body>,
    lie: Arc<Mutex<Lie>>,
    asked: Arc<AtomicUsize>,
}

fn honest(_: &str, status: StatusCode, body: Bytes) -> Option<(StatusCode, Bytes)> {
    Some((status, body))
}

impl Liar {
    fn of(server: SocketAddr, lie: Lie) -> Self {
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
                let (lie, asked) = (Arc::new(Mutex::new(lie)), Arc::default());
                let liar = Self { address: listener.local_addr().unwrap(), server, client, lie, asked };
                send.send(liar.clone()).unwrap();
                let app = Router::new().fallback(answer).with_state(liar);
                while let Ok((stream, _)) = listener.accept().await {
                    let service = TowerToHyperService::new(app.clone());
                    tokio::spawn(async move {
                        let _ =
                            Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            });
        });
        receive.recv().unwrap()
    }

    fn tell(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn answer(State(liar): State<Liar>, request: Request) -> Response {
    liar.asked.fetch_add(1, Ordering::Relaxed);
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    parts.uri = format!("{}{path}", base(liar.server)).parse().unwrap();
    let response = liar.client.request(Request::from_parts(parts, body)).await.unwrap();
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
    let lie = *liar.lie.lock().unwrap();
    match lie(&path, status, body) {
        Some(answer) => answer.into_response(),
        None => std::future::pending().await,
    }
}

/// A router whose second shard has a liar and an honest replica.
fn beside(collection: &Collection, server: &Server, lie: Lie) -> (Liar, Server) {
    let liar = Liar::of(server.address, lie);
    let mut shards = on_one(server, 2);
    shards[1].1.insert(0, base(liar.address));
    assert!(collection.path("s2-1").exists());
    (liar, router_with(&shards, |config| config.hedge_ms = 60_000.0))
}

fn ok(body: &'static str) -> Option<(StatusCode, Bytes)> {
    Some((StatusCode::OK, Bytes::from_static(body.as_bytes())))
}

/// The answer with another value of a field.
fn with(body: &Bytes, field: &str, value: Value) -> Option<(StatusCode, Bytes)> {
    let mut answer: Value = serde_json::from_slice(body).unwrap();
    answer[field] = value;
    Some((StatusCode::OK, answer.to_string().into()))
}

#[test]
fn answers_that_are_none_come_from_another_replica() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let search = json!({"query": QUERIES[0], "mode": "hybrid", "exact": true, "facets": ["kind"], "k": 20});
    let expected = router(&on_one(&server, 2)).ok(SEARCH, search.clone());
    let lies: [(&str, Lie); 10] = [
        ("500", |_, _, body| Some((StatusCode::INTERNAL_SERVER_ERROR, body))),
        ("redirect", |_, _, body| Some((StatusCode::FOUND, body))),
        ("long error", |_, _, _| Some((StatusCode::UNAUTHORIZED, vec![b'a'; 1 << 20].into()))),
        ("no JSON", |_, _, _| ok("<html>")),
        ("nothing", |_, _, _| ok("")),
        ("other JSON", |_, _, _| ok("{\"version\": 3}")),
        ("statistics", |path, status, body| match path.ends_with("statistics") {
            true => with(&body, "statistics", json!({"passages": 1, "tokens": 1, "having": {"loom": 7}})),
            false => honest(path, status, body),
        }),
        ("half of the bytes", |path, status, body| match path.ends_with("rank") {
            true => with(&body, "found", "AAAA".into()),
            false => honest(path, status, body),
        }),
        ("hits that are missing", |path, status, body| match path.ends_with("output") {
            true => with(&body, "hits", json!([])),
            false => honest(path, status, body),
        }),
        ("facets that are missing", |path, status, body| match path.ends_with("output") {
            true => with(&body, "facets", json!([])),
            false => honest(path, status, body),
        }),
    ];
    for (name, lie) in lies {
        let (liar, router) = beside(&collection, &server, lie);
        let answer = router.ok(SEARCH, search.clone());
        assert_eq!(found(&answer), found(&expected), "{name}");
        assert_eq!(answer["shards"]["ok"], 2, "{name}");
        assert!(liar.asked() > 0, "{name}");
    }
    // With no other replica, the answer names the fault in few words.
    let liar = Liar::of(server.address, |_, _, _| Some((StatusCode::UNAUTHORIZED, vec![b'a'; 1 << 20].into())));
    let mut shards = on_one(&server, 2);
    shards[1].1 = vec![base(liar.address)];
    let (status, refused) = router(&shards).post(SEARCH, search);
    assert_eq!((status, &refused["code"]), (503, &json!("SHARDS_FAILED")));
    assert!(refused.to_string().len() < 2000, "{refused}");
}

#[test]
fn a_replica_that_hangs_is_left_alone() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let liar = Liar::of(server.address, honest);
    let mut shards = on_one(&server, 2);
    shards[1].1.insert(0, base(liar.address));
    let router = router_with(&shards, |config| config.hedge_ms = 100.0);
    let search = json!({"query": QUERIES[0], "mode": "lexical", "text": false, "metadata": false});
    let expected = ids(&router.ok(SEARCH, search.clone()));
    // Times, and a budget of hedges.
    (0..60).for_each(|_| _ = router.ok(SEARCH, search.clone()));
    assert!(liar.asked() > 20, "replicas take turns");
    liar.tell(|_, _, _| None);
    let (before, started) = (liar.asked(), Instant::now());
    for _ in 0..30 {
        assert_eq!(ids(&router.ok(SEARCH, search.clone())), expected);
    }
    // A turn of every second search, of two requests each, would be 15 or more; each rest is twice as long.
    let (asked, time) = (liar.asked() - before, started.elapsed());
    assert!(asked <= 8 && time < Duration::from_secs(10), "{asked} requests in {time:?}");
    // It answers again, and is asked again.
    liar.tell(honest);
    let before = liar.asked();
    while liar.asked() < before + 4 {
        assert!(started.elapsed() < Duration::from_secs(30));
        router.ok(SEARCH, search.clone());
    }
}

#[test]
fn a_client_in_haste_makes_no_replica_rest() {
    let collection = Collection::new(&[1]);
    let server = collection.serve(&["s1-0".into()]);
    let router = router(&on_one(&server, 1));
    let hasty = json!({"query": QUERIES[0], "exact": true, "timeout_ms": 0});
    for _ in 0..5 {
        let (status, code) = router.fails(SEARCH, hasty.clone());
        assert!(status == 503 && matches!(&*code, "TIMEOUT" | "SHARDS_FAILED"), "{status} {code}");
    }
    assert_eq!(router.get("/health/ready").1, json!({"status": "ready", "down": []}));
}

#[test]
fn a_router_is_ready_while_a_shard_is() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into()]);
    let mut shards = on_one(&server, 2);
    shards[1].1 = vec![crate::collection::nowhere()];
    let router = router(&shards);
    let search = json!({"query": QUERIES[0], "exact": true, "partial": true});
    assert_eq!(router.ok(SEARCH, search)["shards"]["ok"], 1);
    let (status, ready) = router.get("/health/ready");
    assert_eq!((status, &ready["down"]), (200, &json!([{"index": "all", "shard": 1}])), "{ready}");
    let (status, indexes) = router.get("/v1/indexes");
    assert_eq!((status, &indexes["indexes"][0]["state"]), (200, &json!("broken")), "{indexes}");
}

#[test]
fn odd_requests_are_refused_and_large_ones_answered() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let router = router(&on_one(&server, 2));
    let k = |k: Value| json!({"query": QUERIES[0], "exact": true, "k": k});
    assert_eq!(ids(&router.ok(SEARCH, k(10_000.into()))).len(), crate::collection::COUNT);
    for bad in [json!(10_001), json!(u64::MAX), json!(-1), json!(1.5), json!("7"), json!(0)] {
        assert_eq!(router.fails(SEARCH, k(bad.clone())), (400, "BAD_REQUEST".into()), "{bad}");
    }
    let deep = format!("{{\"query\": {}1{}}}", "[".repeat(5000), "]".repeat(5000));
    for body in ["", "{", "[]", "null", "{\"query\": 1}", "\u{0}", &deep] {
        let (status, _, text) = router.send("POST", SEARCH, "application/json", body.as_bytes());
        assert_eq!(status, 400, "{body}: {text}");
    }
    assert_eq!(router.fails("/v1/indexes/..%2fall/search", k(1.into())).0, 404);
}
