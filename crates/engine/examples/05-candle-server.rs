//! Answers concurrent queries with the encoder and the search on one GPU; embeddings never leave it:
//! `cargo run --release --features candle-cuda --example 05-candle-server -- my.index "first query" "second query"
//! ...`.
//!
//! The feature `candle-cuda` needs nvcc. The model that made the index runs in candle, on one thread that encodes what
//! has arrived; the search's queue batches the queries again, as it needs them. `04-gpu-server` does the same for any
//! model that leaves its embeddings at an address.

use selvedge::cuda::{Cuda, DeviceEmbeddings};
use selvedge::{
    CandleDevice, Engine, Executor, HitQuery, LoadOptions, OpenOptions, Queue, QueueOptions, Result, SearchOptions,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Largest number of texts that are encoded together.
const MAX_BATCH: usize = 32;

/// A query, and the place for its embeddings.
type Request = (String, oneshot::Sender<Result<DeviceEmbeddings<'static>>>);

/// Encodes queries until all senders are gone. One thread has all of candle's work, whose stream is the thread's.
fn encode(engine: &Engine, gpu: &Cuda, mut requests: mpsc::Receiver<Request>) -> Result<()> {
    let encoder = engine.encoder()?;
    let mut batch = Vec::new();
    while requests.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let texts: Vec<&str> = batch.iter().map(|(text, _)| text.as_str()).collect();
        let tensors: Vec<Result<_>> = match encoder.encode_queries_on_device(&texts) {
            Ok(tensors) => tensors.into_iter().map(Ok).collect(),
            // One text fails a batch: alone, each has its own embeddings or error.
            Err(_) => texts.iter().map(|text| Ok(encoder.encode_queries_on_device(&[text])?.remove(0))).collect(),
        };
        for ((_, reply), tensor) in batch.drain(..).zip(tensors) {
            // The client may have gone away.
            let _ = reply.send(tensor.and_then(|tensor| selvedge::candle::copy_of(gpu, &tensor)));
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(index) = arguments.next() else {
        eprintln!("usage: 05-candle-server INDEX QUERY...");
        std::process::exit(2);
    };
    let gpu = Cuda::new(0)?;
    let encoder = LoadOptions { executor: Executor::Candle(CandleDevice::Cuda(0)), ..LoadOptions::default() };
    let options = OpenOptions { load_model: true, encoder, ..OpenOptions::default() };
    let engine = Arc::new(Engine::open_on(index.as_ref(), gpu.clone(), options)?);
    let queue = Arc::new(Queue::new(engine.snapshot().shared_searcher(), QueueOptions::default())?);
    let (model, requests) = mpsc::channel::<Request>(1024);
    let of_model = Arc::clone(&engine);
    let thread = std::thread::spawn(move || encode(&of_model, &gpu, requests));

    let queries: Vec<String> = arguments.collect();
    let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
    let ask = |query: String| {
        let (engine, queue, model, options) = (engine.clone(), queue.clone(), model.clone(), options.clone());
        tokio::spawn(async move {
            let snapshot = engine.snapshot();
            let (reply, embeddings) = oneshot::channel();
            model.send((query, reply)).await.expect("the model runs while it has a sender");
            let embeddings = embeddings.await.expect("the model answers")?;
            // The passages of `SearchOptions::filter` and `ids`, which `params` alone does not apply.
            let set = snapshot.passages(&options)?;
            let params = options.params(snapshot.searcher(), set.as_deref());
            let ranking = queue.search_on(snapshot.shared_searcher(), embeddings, params, set).await?;
            let reading = move || engine.output(&snapshot, HitQuery::default(), ranking, &options);
            tokio::task::spawn_blocking(reading).await.expect("reading does not panic")
        })
    };
    let tasks: Vec<_> = queries.iter().cloned().map(ask).collect();
    for (query, task) in queries.iter().zip(tasks) {
        println!("{query}");
        for hit in task.await.expect("a request does not panic")?.hits {
            println!("{:>8.4}  {}  {}", hit.score, hit.id, hit.text.unwrap_or_default());
        }
    }
    drop(model);
    thread.join().expect("the model does not panic")
}
