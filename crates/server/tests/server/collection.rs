//! A small collection: as one index, in shards, behind a router.

use crate::support::Server;
use selvedge::build::from_documents;
use selvedge::{BuildOptions, Document, Encoder, LoadOptions};
use selvedge_server::{Config, RouterConfig, Source, Table, route};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;

pub static ENCODER: LazyLock<Encoder> =
    LazyLock::new(|| Encoder::load("shipped", &LoadOptions::default()).expect("it is in the crate"));

pub const COUNT: usize = 90;
pub const QUERIES: [&str; 3] = ["selvedge of the loom", "weft weft shuttle", "nothing of this"];

pub fn passages() -> Vec<Document> {
    let things = ["warp", "weft", "loom", "selvedge", "shuttle", "heddle"];
    let text = |n: usize| {
        let words = (0..n % 7 + 1).map(|i| things[(n * (i + 3) + i * i) % 6]);
        words.collect::<Vec<_>>().join(" ")
    };
    let metadata = |n: usize| json!({ "n": n, "kind": things[n % 4], "half": n as f32 / 2.0 });
    let passage = |n| Document { id: format!("p{n}"), text: text(n), metadata: Some(metadata(n)) };
    (0..COUNT).map(passage).collect()
}

pub fn build(path: &Path, passages: &[Document], codec_from: Option<PathBuf>) {
    let options = BuildOptions { codec_from, ..BuildOptions::default() };
    from_documents(passages.iter().cloned().map(Ok), path, &ENCODER, &options, &()).unwrap();
}

/// Indexes of one collection: as a whole, and in shards of equal size.
pub struct Collection {
    pub dir: TempDir,
}

impl Collection {
    pub fn new(counts: &[usize]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (passages, whole) = (passages(), dir.path().join("whole"));
        build(&whole, &passages, None);
        for &count in counts {
            for (number, part) in passages.chunks(COUNT.div_ceil(count)).enumerate() {
                build(&dir.path().join(format!("s{count}-{number}")), part, Some(whole.clone()));
            }
        }
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A server of these indexes.
    pub fn serve(&self, names: &[String]) -> Server {
        Server::with(|config| {
            config.indexes = names.iter().map(|name| self.path(name)).collect();
            config.follow_ms = 20;
        })
    }
}

pub fn base(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A router over shards, given by their indexes and the bases of their replicas.
pub fn router(shards: &[(String, Vec<String>)]) -> Server {
    router_with(shards, |_| {})
}

/// The table of the collection `all`.
pub fn table(shards: &[(String, Vec<String>)]) -> Value {
    let shards: Vec<Value> =
        shards.iter().map(|(index, replicas)| json!({"index": index, "replicas": replicas})).collect();
    json!({"name": "all", "shards": shards})
}

pub fn router_with(shards: &[(String, Vec<String>)], change: impl FnOnce(&mut RouterConfig)) -> Server {
    let table: Table = serde_json::from_value(table(shards)).unwrap();
    let server = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), drain_s: 1, ..Config::default() };
    let mut config = RouterConfig { server, tables: vec![Source::Fixed(table)], hedge_ms: 20.0 };
    change(&mut config);
    Server::run(tempfile::tempdir().unwrap(), move |started, end| async move { route(config, started, end).await })
}

/// Shards that are served by one server.
pub fn on_one(server: &Server, count: usize) -> Vec<(String, Vec<String>)> {
    (0..count).map(|number| (format!("s{count}-{number}"), vec![base(server.address)])).collect()
}

/// Text of the hits and the facets of an answer, so that every digit of a score counts.
pub fn found(answer: &Value) -> (String, String) {
    (answer["hits"].to_string(), answer["facets"].to_string())
}

/// An address at which no server listens.
pub fn nowhere() -> String {
    base(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

pub fn metric(server: &Server, name: &str) -> f64 {
    let text = server.send("GET", "/metrics", "text/plain", b"").2;
    let values = text.lines().filter(|line| line.starts_with(name)).map(|line| line.rsplit(' ').next().unwrap());
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}

/// A proxy that waits before it passes on an answer.
pub struct Proxy {
    pub address: SocketAddr,
    pub delay_ms: Arc<AtomicU64>,
}

impl Proxy {
    pub fn of(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, delay_ms) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let delay = Arc::clone(&delay_ms);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(server).unwrap();
                let (up, down) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
                std::thread::spawn(move || pump(up.0, up.1, &AtomicU64::new(0)));
                let delay = Arc::clone(&delay);
                std::thread::spawn(move || pump(down.0, down.1, &delay));
            }
        });
        Self { address, delay_ms }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, delay_ms: &AtomicU64) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        std::thread::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed)));
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}
