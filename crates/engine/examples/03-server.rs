//! Answers concurrent questions from async code: `cargo run --release --example 03-server -- my.index "one" "two" ...`.
//!
//! The engine computes on a rayon pool of its own size, so that it never starves the runtime; calls block, and are made
//! where tokio allows it. A real server reads its questions from a socket instead.

use selvedge::{Engine, OpenOptions, Result, SearchOptions, SearchOutput};
use std::sync::Arc;

/// What every task shares.
struct Server {
    engine: Engine,
    pool: rayon::ThreadPool,
    options: SearchOptions,
}

impl Server {
    /// Answers one question without blocking the runtime.
    async fn answer(self: Arc<Self>, question: String) -> Result<SearchOutput> {
        let search = move || self.pool.install(|| self.engine.search(&question, &self.options));
        tokio::task::spawn_blocking(search).await.expect("a search does not panic")
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let Some(index) = words.next() else {
        eprintln!("usage: 03-server INDEX QUESTION...");
        std::process::exit(2);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads start");
    let open = OpenOptions { load_model: true, ..OpenOptions::default() };
    let engine = Engine::open(index.as_ref(), open)?;
    let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
    let server = Arc::new(Server { engine, pool, options });
    let questions: Vec<String> = words.collect();
    let tasks: Vec<_> = questions.iter().map(|q| tokio::spawn(Arc::clone(&server).answer(q.clone()))).collect();
    for (question, task) in questions.iter().zip(tasks) {
        let answer = task.await.expect("a task does not panic")?;
        println!("{question}");
        for hit in answer.hits {
            println!("  {:>8.4}  {}", hit.score, hit.id);
        }
    }
    Ok(())
}
