//! The server under load: `cargo bench --bench serve -- INDEX QUERIES.tsv [SECONDS]`.
//!
//! Server and clients share the cores of this machine.
//!
//! | part | what is measured |
//! |---|---|
//! | added | median of a query by embeddings over HTTP, against a bare call of the engine, in turns |
//! | closed | queries by text from 1 and from 64 clients, each of which waits for its answer |
//! | open | queries by text that arrive at random at a rate, whether answers come or not; latency counts from the moment at which a query was due |

#![allow(unreachable_pub)] // nothing imports a bench

mod client;

use client::{Client, post};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge::{Engine, OpenOptions, SearchOptions};
use selvedge_server::{Config, serve};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// Connections of the open load: as many as may wait at a time.
const CONNECTIONS: usize = 900;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [index, queries, rest @ ..] = words.as_slice() else {
        eprintln!("usage: cargo bench --bench serve -- INDEX QUERIES.tsv [SECONDS]");
        return;
    };
    let seconds = Duration::from_secs(rest.first().map_or(10, |text| text.parse().expect("a number of seconds")));
    let text = std::fs::read_to_string(queries).expect("a file of queries");
    let texts: Vec<String> =
        text.lines().filter_map(|line| Some(line.split_once('\t')?.1.to_owned())).take(2000).collect();
    let (address, runtime) = start(PathBuf::from(index));
    let name = PathBuf::from(index).file_name().expect("a folder").to_string_lossy().into_owned();
    let path = format!("/v1/indexes/{name}/search");
    added(&PathBuf::from(index), &path, &texts, address);
    let requests: Vec<Vec<u8>> =
        texts.iter().map(|text| post(&path, &json!({"query": text, "text": false, "metadata": false}))).collect();
    let requests: Arc<[Vec<u8>]> = requests.into();
    let one = closed(&runtime, address, &requests, 1, seconds);
    let many = closed(&runtime, address, &requests, 64, seconds);
    println!("closed: 64 clients have {:.2} times the throughput of one", many / one);
    for share in [0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0] {
        open(&runtime, address, &requests, many * share, share, seconds);
    }
}

/// Starts the server, and a runtime for its clients.
fn start(index: PathBuf) -> (SocketAddr, Runtime) {
    let config = Config {
        indexes: vec![index],
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        max_waiting: 256,
        ..Config::default()
    };
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().enable_all().build().expect("threads");
        let started = |address| send.send(address).expect("the bench waits");
        runtime.block_on(serve(config, started, std::future::pending())).expect("the server starts");
    });
    let address = receive.recv().expect("the server starts");
    (address, Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread"))
}

/// Queries by embeddings: bare, and over HTTP with rows of numbers and with base64.
fn added(index: &std::path::Path, path: &str, texts: &[String], address: SocketAddr) {
    let engine = Engine::open(index, OpenOptions { load_model: true, ..OpenOptions::default() }).expect("an index");
    let dim = engine.snapshot().searcher().dim();
    let queries = engine.encoder().expect("its model").encode_queries(&texts[..texts.len().min(500)]).expect("queries");
    let queries: Vec<&[f32]> = queries.iter().collect();
    let rows = |query: &[f32]| json!(query.chunks_exact(dim).collect::<Vec<_>>());
    let base64 = |query: &[f32]| {
        let bytes: Vec<u8> = query.iter().flat_map(|x| x.to_le_bytes()).collect();
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        json!({"base64": text, "shape": [query.len() / dim, dim]})
    };
    let body = |embeddings| json!({"embeddings": embeddings, "text": false, "metadata": false});
    let as_rows: Vec<Vec<u8>> = queries.iter().map(|query| post(path, &body(rows(query)))).collect();
    let as_base64: Vec<Vec<u8>> = queries.iter().map(|query| post(path, &body(base64(query)))).collect();
    // On the thread that asks, as a program would that does nothing but wait for its answer.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut client = runtime.block_on(Client::connect(address)).expect("a connection");
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let options = SearchOptions::default();
    for round in 0..4 {
        for (at, query) in queries.iter().enumerate() {
            let mut measured = [Duration::ZERO; 3];
            let started = Instant::now();
            let hits = engine.search_embeddings(query, &options).expect("hits").hits;
            measured[0] = started.elapsed();
            for (way, requests) in [(1, &as_rows), (2, &as_base64)] {
                let started = Instant::now();
                let (status, body) = runtime.block_on(client.send(&requests[at])).expect("an answer");
                measured[way] = started.elapsed();
                let answer: serde_json::Value = serde_json::from_slice(body).expect("JSON");
                assert_eq!(status, 200, "{answer}");
                assert_eq!(answer["hits"][0]["id"], hits[0].id.as_str(), "the same answer");
            }
            if round > 0 {
                times.iter_mut().zip(measured).for_each(|(times, time)| times.push(time));
            }
        }
    }
    let [bare, rows, base64] = times.map(|mut times| median(&mut times));
    println!("added: bare {:.3} ms; rows of numbers +{:.3} ms; base64 +{:.3} ms", bare, rows - bare, base64 - bare);
}

/// Clients that each wait for their answer. Returns the answers per second.
fn closed(runtime: &Runtime, address: SocketAddr, requests: &Arc<[Vec<u8>]>, clients: usize, time: Duration) -> f64 {
    let end = Instant::now() + time;
    let next = Arc::new(AtomicUsize::new(0));
    let client = |_| {
        let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
        runtime.spawn(async move {
            let mut client = Client::connect(address).await.expect("a connection");
            let mut times = Vec::new();
            while Instant::now() < end {
                let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
                let started = Instant::now();
                let (status, _) = client.send(request).await.expect("an answer");
                assert_eq!(status, 200);
                times.push(started.elapsed());
            }
            times
        })
    };
    let tasks: Vec<_> = (0..clients).map(client).collect();
    let mut times: Vec<Duration> =
        tasks.into_iter().flat_map(|task| runtime.block_on(task).expect("a client ends")).collect();
    let rate = times.len() as f64 / time.as_secs_f64();
    let (p50, p99) = (median(&mut times), percentile(&mut times, 0.99));
    println!("closed: {clients} clients, {rate:.0} queries/s, p50 {p50:.2} ms, p99 {p99:.2} ms");
    rate
}

/// Queries that arrive at random, at a rate, whether answers come or not.
fn open(runtime: &Runtime, address: SocketAddr, requests: &Arc<[Vec<u8>]>, rate: f64, share: f64, time: Duration) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let idle: Arc<std::sync::Mutex<Vec<Client>>> = Arc::default();
    let answers = runtime.block_on(async {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let (started, mut due, mut tasks) = (Instant::now(), Duration::ZERO, Vec::new());
        while due < time {
            // Exponential pauses: arrivals do not know of each other.
            due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
            tokio::time::sleep_until((started + due).into()).await;
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tasks.push(tokio::spawn(async { (0, Duration::ZERO) }));
                continue;
            };
            let (requests, idle) = (Arc::clone(requests), Arc::clone(&idle));
            let at = random.random_range(0..requests.len());
            tasks.push(tokio::spawn(async move {
                let _place = place;
                let known = idle.lock().expect("no panic").pop();
                let mut client = match known {
                    Some(client) => client,
                    None => Client::connect(address).await.expect("a connection"),
                };
                let status = client.send(&requests[at]).await.expect("an answer").0;
                idle.lock().expect("no panic").push(client);
                (status, started.elapsed().saturating_sub(due))
            }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("a client ends"));
        }
        answers
    });
    let mut accepted: Vec<Duration> = answers.iter().filter(|(status, _)| *status == 200).map(|(_, t)| *t).collect();
    let shed = answers.iter().filter(|(status, _)| matches!(status, 429 | 503)).count();
    let lost = answers.len() - accepted.len() - shed;
    let per_second = |count: usize| count as f64 / time.as_secs_f64();
    let (answered, shed) = (per_second(accepted.len()), per_second(shed));
    let (p50, p99) = (median(&mut accepted), percentile(&mut accepted, 0.99));
    println!(
        "open: {share:.2} of the throughput, {rate:.0}/s offered, {answered:.0}/s answered, {shed:.0}/s shed, {lost} \
         without a connection, p50 {p50:.2} ms, p99 {p99:.2} ms"
    );
}

/// Median in milliseconds.
fn median(times: &mut [Duration]) -> f64 {
    percentile(times, 0.5)
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
