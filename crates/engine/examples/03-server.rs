//! Answers concurrent queries from async code, in batches:
//! `cargo run --release --example 03-server -- my.index "first query" "second query" ...`.
//!
//! Requests send their query to one thread, which searches on a rayon pool of its own, so that searches never block the
//! async runtime. Queries that arrive during a search wait, and are the next batch: one query when the server is idle,
//! many under load. Here, queries are arguments; in a server, each connection calls `ask`.

use selvedge::{Engine, OpenOptions, Result, SearchOptions, SearchOutput};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of queries of a batch.
const MAX_BATCH: usize = 64;

/// A query, and the place for its answer.
struct Request {
    query: String,
    reply: oneshot::Sender<Result<SearchOutput>>,
}

/// Answers requests until all senders are gone.
fn serve(engine: &Engine, options: &SearchOptions, mut requests: mpsc::Receiver<Request>) {
    let mut batch = Vec::new();
    while requests.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let queries: Vec<&str> = batch.iter().map(|request| request.query.as_str()).collect();
        let answers: Vec<Result<SearchOutput>> = match engine.search_batch(&queries, options) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One bad query fails a batch: alone, each query has its own answer or error.
            Err(_) => queries.iter().map(|query| engine.search(query, options)).collect(),
        };
        for (request, answer) in batch.drain(..).zip(answers) {
            // The client may have gone away.
            let _ = request.reply.send(answer);
        }
    }
}

/// Answers one query without blocking the runtime.
async fn ask(server: mpsc::Sender<Request>, query: String) -> Result<SearchOutput> {
    let (reply, answer) = oneshot::channel();
    server.send(Request { query, reply }).await.expect("the server runs while it has a sender");
    answer.await.expect("every request is answered")
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(index) = arguments.next() else {
        eprintln!("usage: 03-server INDEX QUERY...");
        std::process::exit(2);
    };
    let engine = Engine::open(index.as_ref(), OpenOptions { load_model: true, ..OpenOptions::default() })?;
    let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads start");
    let (server, requests) = mpsc::channel(1024);
    let thread = std::thread::spawn(move || pool.install(|| serve(&engine, &options, requests)));

    let queries: Vec<String> = arguments.collect();
    let tasks: Vec<_> = queries.iter().map(|query| tokio::spawn(ask(server.clone(), query.clone()))).collect();
    for (query, task) in queries.iter().zip(tasks) {
        println!("{query}");
        for hit in task.await.expect("a request does not panic")?.hits {
            println!("{:>8.4}  {}  {}", hit.score, hit.id, hit.text.unwrap_or_default());
        }
    }
    drop(server);
    thread.join().expect("the server does not panic");
    Ok(())
}
