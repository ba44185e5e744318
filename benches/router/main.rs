//! The router against its slowest shard: `cargo bench --bench router -- DOCUMENTS.tsv QUERIES.tsv [PASSAGES]`.
//!
//! The first passages of the documents (4,000) become one index, and 1, 2 and 4 shards of the same codec, each behind a
//! server of its own. Servers, router and client share the cores of this machine and talk over loopback. In turns, each
//! query by embeddings goes to
//!
//! | way | what is measured |
//! |---|---|
//! | shards | all shards side by side by the route that a router asks, until the slowest has answered |
//! | router | the router, until it has answered: ids alone, so one phase; or texts too, a second phase |
//! | one | a server of the whole index |
//!
//! Hits of exact searches are compared with those of the whole index: ids, order and every digit of the scores.

#![allow(unreachable_pub)] // nothing imports a bench

#[path = "../serve/client.rs"]
mod client;

use client::{Client, post};
use selvedge::build::from_documents;
use selvedge::{BuildOptions, Document, Encoder, LoadOptions};
use selvedge_server::{Config, RouterConfig, Source, Table, route, serve};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Shards of each collection.
const COUNTS: [usize; 3] = [1, 2, 4];
/// Queries of each round; rounds, of which the first warms up.
const QUERIES: usize = 300;
const ROUNDS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [documents, queries, rest @ ..] = words.as_slice() else {
        eprintln!("usage: cargo bench --bench router -- DOCUMENTS.tsv QUERIES.tsv [PASSAGES]");
        return;
    };
    let passages = rest.first().map_or(4000, |text| text.parse().expect("a number of passages"));
    let encoder = Encoder::load("shipped", &LoadOptions::default()).expect("the shipped model");
    let folder = tempfile::tempdir().expect("a folder");
    build(folder.path(), &read(documents, passages), &encoder);
    let text = std::fs::read_to_string(queries).expect("a file of queries");
    let texts: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('\t')?.1)).take(QUERIES).collect();
    let queries = encoder.encode_queries(&texts).expect("queries");
    let queries: Vec<Value> = queries.iter().map(|query| base64(query, encoder.dim())).collect();
    println!("{passages} passages, {} queries, {} rounds", queries.len(), ROUNDS - 1);
    let whole = server(folder.path().join("whole"));
    for count in COUNTS {
        let shards: Vec<SocketAddr> = (0..count).map(|shard| server(folder.path().join(name(count, shard)))).collect();
        measure(count, &shards, router(count, &shards), whole, &queries);
    }
}

fn name(count: usize, shard: usize) -> String {
    format!("s{count}-{shard}")
}

/// Reads documents: lines of an id, a tab and a text.
fn read(path: &str, count: usize) -> Vec<Document> {
    let text = std::fs::read_to_string(path).expect("a file of documents");
    let document = |line: &str| {
        let (id, text) = line.split_once('\t')?;
        Some(Document { id: id.to_owned(), text: text.to_owned(), metadata: None })
    };
    text.lines().filter_map(document).take(count).collect()
}

/// Builds the whole index and all shards.
fn build(folder: &Path, documents: &[Document], encoder: &Encoder) {
    let build = |name: &str, part: &[Document], codec_from: Option<PathBuf>| {
        let options = BuildOptions { codec_from, language: None, ..BuildOptions::default() };
        from_documents(part.iter().cloned().map(Ok), &folder.join(name), encoder, &options, &()).expect("an index");
    };
    build("whole", documents, None);
    for count in COUNTS {
        for (shard, part) in documents.chunks(documents.len().div_ceil(count)).enumerate() {
            build(&name(count, shard), part, Some(folder.join("whole")));
        }
    }
}

fn base64(query: &[f32], dim: usize) -> Value {
    let bytes: Vec<u8> = query.iter().flat_map(|x| x.to_le_bytes()).collect();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    json!({"base64": text, "shape": [query.len() / dim, dim]})
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Starts a server of an index, as a process of its own would be.
fn server(index: PathBuf) -> SocketAddr {
    let config = Config { indexes: vec![index], listen: local(), ..Config::default() };
    run(move |started| serve(config, started, std::future::pending()))
}

/// Starts a router of shards.
fn router(count: usize, shards: &[SocketAddr]) -> SocketAddr {
    let entry = |(shard, address): (usize, &SocketAddr)| json!({"index": name(count, shard), "replicas": [format!("http://{address}")]});
    let entries: Vec<Value> = shards.iter().enumerate().map(entry).collect();
    let table: Table = serde_json::from_value(json!({"name": "all", "shards": entries})).expect("a table");
    let server = Config { listen: local(), ..Config::default() };
    let config = RouterConfig { server, tables: vec![Source::Fixed(table)], ..RouterConfig::default() };
    run(move |started| route(config, started, std::future::pending()))
}

/// Runs a server in threads of its own, as many as the program has.
fn run<F: Future<Output = selvedge_server::Result<()>>>(
    start: impl FnOnce(Box<dyn FnOnce(SocketAddr)>) -> F + Send + 'static,
) -> SocketAddr {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().enable_all().build().expect("threads");
        let started = Box::new(move |address| send.send(address).expect("the bench waits"));
        runtime.block_on(start(started)).expect("the server starts");
    });
    receive.recv().expect("the server starts")
}

/// Times of one way.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    /// Median in milliseconds.
    fn median(&self) -> f64 {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Ways of a search, which are measured in turns.
struct Ways {
    runtime: Runtime,
    shards: Vec<(Client, String)>,
    router: Client,
    one: Client,
}

impl Ways {
    fn new(count: usize, shards: &[SocketAddr], router: SocketAddr, whole: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connect = |address| runtime.block_on(Client::connect(address)).expect("a connection");
        let path = |shard| format!("/v1/indexes/{}/shard/rank", name(count, shard));
        let shards = shards.iter().enumerate().map(|(shard, &address)| (connect(address), path(shard))).collect();
        let (router, one) = (connect(router), connect(whole));
        Self { runtime, shards, router, one }
    }

    /// Time until the slowest shard has answered, of all asked side by side.
    fn slowest(&mut self, search: &Value) -> Duration {
        let body = json!({"search": search, "with_ids": true});
        let requests: Vec<Vec<u8>> = self.shards.iter().map(|(_, path)| post(path, &body)).collect();
        let started = Instant::now();
        let asked = self.shards.iter_mut().zip(&requests).map(|((client, _), request)| timed(client, request, started));
        let times = self.runtime.block_on(futures_util::future::join_all(asked));
        times.into_iter().max().unwrap_or_default()
    }

    /// Time and answer of the router, or of the server of the whole index.
    fn search(&mut self, is_router: bool, search: &Value) -> (Duration, Value) {
        let path = if is_router { "/v1/indexes/all/search" } else { "/v1/indexes/whole/search" };
        let (request, client) = (post(path, search), if is_router { &mut self.router } else { &mut self.one });
        let started = Instant::now();
        let (status, body) = self.runtime.block_on(client.send(&request)).expect("an answer");
        let time = started.elapsed();
        let answer = serde_json::from_slice(body).expect("JSON");
        assert_eq!(status, 200, "{answer}");
        (time, answer)
    }
}

/// Sends a request; returns the time of its answer since `started`.
async fn timed(client: &mut Client, request: &[u8], started: Instant) -> Duration {
    let (status, body) = client.send(request).await.expect("an answer");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
    started.elapsed()
}

/// Measures and prints one number of shards.
fn measure(count: usize, shards: &[SocketAddr], router: SocketAddr, whole: SocketAddr, queries: &[Value]) {
    let mut ways = Ways::new(count, shards, router, whole);
    for (label, exact, text) in [("default", false, false), ("exact", true, false), ("default, texts", false, true)] {
        let mut times: [Times; 4] = Default::default();
        let (mut found, mut expected) = (0, 0);
        for round in 0..ROUNDS {
            for query in queries {
                let search = |exact| json!({"embeddings": query, "text": text, "metadata": false, "exact": exact});
                let slowest = ways.slowest(&search(exact));
                let (routed, answer) = ways.search(true, &search(exact));
                let (one, _) = ways.search(false, &search(exact));
                if round == 0 {
                    let truth = ways.search(false, &search(true)).1;
                    assert!(!exact || answer["hits"].to_string() == truth["hits"].to_string(), "another ranking");
                    let (ids, truth) = (ids(&answer), ids(&truth));
                    found += truth.iter().filter(|id| ids.contains(id)).count();
                    expected += truth.len();
                    continue;
                }
                let ms = [slowest, routed, one].map(|time| time.as_secs_f64() * 1e3);
                times.iter_mut().zip([ms[0], ms[1], ms[2], ms[1] - ms[0]]).for_each(|(times, ms)| times.0.push(ms));
            }
        }
        let [slowest, routed, one, added] = times.map(|times| times.median());
        println!(
            "{count} shards, {label}: slowest shard {slowest:.3} ms, router {routed:.3} ms, difference of medians \
             {:+.3} ms, median difference {added:+.3} ms; one index {one:.3} ms; recall@10 of exact {:.4}",
            routed - slowest,
            found as f64 / expected as f64
        );
    }
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().into_iter().flatten().filter_map(|hit| hit["id"].as_str()).collect()
}
