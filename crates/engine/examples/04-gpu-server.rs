//! Answers concurrent queries whose embeddings are on a GPU already, from async code:
//! `cargo run --release --example 04-gpu-server -- my.index "first query" "second query" ...`.
//!
//! A server's model leaves the embeddings of a query in device memory, where work on its own stream writes them. A
//! pointer, a length and that stream are all that the search needs: PyTorch has them as `data_ptr()` and
//! `torch.cuda.current_stream()`, ONNX Runtime and Triton as the buffer and the stream of a run. The embeddings never
//! return to the host, which waits for no stream: the queue's copy comes after that work on the device.
//!
//! Here, [`Model`] stands for that model: it encodes on the CPU and uploads the result. Queries are arguments; in a
//! server, each connection calls [`ask`].

use selvedge::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use selvedge::cuda::{Component, Cuda, DeviceEmbeddings};
use selvedge::{Engine, Error, HitQuery, OpenOptions, Queue, QueueOptions, Result, SearchOptions, SearchOutput};
use std::path::Path;
use std::sync::Arc;

/// Everything that connections share.
struct Server {
    engine: Engine,
    queue: Queue,
    gpu: Cuda,
    model: Model,
    options: SearchOptions,
}

/// A model with a stream of its own.
struct Model {
    stream: Arc<CudaStream>,
}

impl Model {
    fn new() -> Self {
        let context = CudaContext::new(0).expect("the device that the index is on");
        Self { stream: context.new_stream().expect("a stream") }
    }

    /// Returns the embeddings of a query in device memory. The work that writes them may still run.
    fn embed(&self, engine: &Engine, query: &str) -> Result<CudaSlice<f32>> {
        let embeddings = engine.encoder()?.encode_queries(&[query])?.data;
        Ok(self.stream.clone_htod(&embeddings).expect("an upload"))
    }
}

impl Server {
    fn open(index: &Path) -> Result<Self> {
        let gpu = Cuda::new(0).map_err(Error::Backend)?;
        let engine = Engine::open_on(index, gpu.clone(), OpenOptions { load_model: true, ..OpenOptions::default() })?;
        let queue = Queue::new(engine.snapshot().shared_searcher(), QueueOptions::default())?;
        let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
        Ok(Self { engine, queue, gpu, model: Model::new(), options })
    }

    /// Runs the model, and hands what it has written to the search. It blocks for as long as the model does.
    fn embedded(&self, query: &str) -> Result<DeviceEmbeddings<'static>> {
        let memory = self.model.embed(&self.engine, query)?;
        // What another library would give: an address, a length, and the stream of the work.
        let stream = &self.model.stream;
        let (pointer, len, handle) = (memory.device_ptr(stream).0, memory.len(), stream.cu_stream().cast());
        // SAFETY: `len` components are at the address, and the memory is freed on this stream: after the copy.
        unsafe { self.gpu.copy_at(pointer, len, Component::F32, handle) }.map_err(Error::Backend)
    }
}

/// Answers one query without blocking the runtime: the model, and the reading of texts, run where that is allowed.
async fn ask(server: Arc<Server>, query: String) -> Result<SearchOutput> {
    let snapshot = server.engine.snapshot();
    let of_model = Arc::clone(&server);
    let embedding = tokio::task::spawn_blocking(move || of_model.embedded(&query));
    let embeddings = embedding.await.expect("the model does not panic")?;
    // The passages of `SearchOptions::filter` and `ids`, which `params` alone does not apply.
    let set = snapshot.passages(&server.options)?;
    let params = server.options.params(snapshot.searcher(), set.as_deref());
    let ranking = server.queue.search_on(snapshot.shared_searcher(), embeddings, params, set).await?;
    let reading = move || server.engine.output(&snapshot, HitQuery::default(), ranking, &server.options);
    tokio::task::spawn_blocking(reading).await.expect("reading does not panic")
}

/// Answers queries at the same time, and returns the answers in the order of the queries.
pub(crate) async fn serve(index: &Path, queries: &[String]) -> Result<Vec<SearchOutput>> {
    let server = Arc::new(Server::open(index)?);
    let tasks: Vec<_> = queries.iter().map(|query| tokio::spawn(ask(Arc::clone(&server), query.clone()))).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("a request does not panic")?);
    }
    Ok(answers)
}

#[allow(dead_code)] // the test of this example calls `serve`
#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(index) = arguments.next() else {
        eprintln!("usage: 04-gpu-server INDEX QUERY...");
        std::process::exit(2);
    };
    let queries: Vec<String> = arguments.collect();
    for (query, answer) in queries.iter().zip(serve(index.as_ref(), &queries).await?) {
        println!("{query}");
        for hit in answer.hits {
            println!("{:>8.4}  {}  {}", hit.score, hit.id, hit.text.unwrap_or_default());
        }
    }
    Ok(())
}
