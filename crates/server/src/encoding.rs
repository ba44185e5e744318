//! Queue in front of a model: concurrent texts are encoded together.
//!
//! One thread takes what waits, at most [`Config::max_batch`](crate::Config) texts, and encodes it on the pool of
//! reads. Texts that arrive meanwhile are the next batch, so that batches grow with the load. A text that finds the
//! model idle is encoded at once; only while batches hold several texts does the thread wait a moment for more.

use crate::error::{ApiError, Result};
use crate::work::Pool;
use selvedge::{Encoder, TextKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Embeddings of one text, `(T, D) f32`.
pub(crate) type Rows = Vec<f32>;

/// A text that waits to be encoded.
struct Request {
    text: String,
    kind: TextKind,
    deadline: Instant,
    arrived: Instant,
    reply: oneshot::Sender<Result<Rows>>,
}

/// Limits of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most texts of a batch.
    pub(crate) max_batch: usize,
    /// Most texts that wait.
    pub(crate) max_waiting: usize,
    /// Longest wait for a batch to fill, under load.
    pub(crate) max_wait: Duration,
}

/// A model with its queue. The thread ends when the last of its users is gone.
pub(crate) struct EncodeQueue {
    encoder: Arc<Encoder>,
    max_waiting: usize,
    requests: mpsc::Sender<Request>,
}

impl EncodeQueue {
    /// Starts the thread of the queue.
    pub(crate) fn new(encoder: Arc<Encoder>, pool: Pool, limits: Limits) -> Result<Self> {
        let (requests, received) = mpsc::channel(limits.max_waiting.max(1));
        let of_thread = Arc::clone(&encoder);
        let serve = move || serve(&of_thread, &pool, limits, received);
        let thread = std::thread::Builder::new().name("selvedge-encode".into()).spawn(serve);
        thread.map_err(|error| ApiError::internal(format!("a thread does not start: {error}")))?;
        Ok(Self { encoder, max_waiting: limits.max_waiting.max(1), requests })
    }

    /// The model.
    pub(crate) fn encoder(&self) -> &Arc<Encoder> {
        &self.encoder
    }

    /// Number of texts of one request that may wait at a time: it leaves places for others.
    pub(crate) fn share(&self) -> usize {
        (self.max_waiting / 8).max(1)
    }

    /// Encodes one text with those that wait at the same time.
    ///
    /// # Errors
    /// 429 if too many wait, 503 after the deadline, and the errors of the model.
    pub(crate) async fn encode(&self, text: String, kind: TextKind, deadline: Instant) -> Result<Rows> {
        let (reply, result) = oneshot::channel();
        let request = Request { text, kind, deadline, arrived: Instant::now(), reply };
        self.requests.try_send(request).map_err(|_| ApiError::too_many("too many texts wait to be encoded"))?;
        match tokio::time::timeout_at(deadline.into(), result).await {
            Ok(Ok(rows)) => rows,
            // The queue drops what is too late, sometimes before the clock here has rung.
            Ok(Err(_)) if deadline <= Instant::now() => Err(ApiError::timed_out()),
            Ok(Err(_)) => Err(ApiError::internal("the model failed; the log has more")),
            Err(_) => Err(ApiError::timed_out()),
        }
    }
}

/// Answers requests until all senders are gone.
fn serve(encoder: &Encoder, pool: &Pool, limits: Limits, mut requests: mpsc::Receiver<Request>) {
    let pool = pool.shared();
    let mut batch: Vec<Request> = Vec::new();
    let mut was_shared = false;
    while requests.blocking_recv_many(&mut batch, limits.max_batch) > 0 {
        if was_shared && batch.len() < limits.max_batch {
            fill(&mut batch, &mut requests, limits);
        }
        was_shared = batch.len() > 1;
        let now = Instant::now();
        // The clients of the others have gone away, or were told that their time is over.
        batch.retain(|request| request.deadline > now && !request.reply.is_closed());
        metrics::histogram!("selvedge_encode_batch_texts").record(batch.len() as f64);
        for request in &batch {
            metrics::histogram!("selvedge_encode_wait_seconds").record((now - request.arrived).as_secs_f64());
        }
        for kind in [TextKind::Query, TextKind::Passage] {
            let (now, later) = std::mem::take(&mut batch).into_iter().partition(|request| request.kind == kind);
            batch = later;
            // A panic drops the requests of the batch, which is their answer.
            let _ = catch_unwind(AssertUnwindSafe(|| pool.install(|| answer(encoder, kind, now))));
        }
        metrics::histogram!("selvedge_encode_seconds").record(now.elapsed().as_secs_f64());
    }
}

/// Waits until the batch is full, or its oldest text has waited long enough.
fn fill(batch: &mut Vec<Request>, requests: &mut mpsc::Receiver<Request>, limits: Limits) {
    let end = batch[0].arrived + limits.max_wait;
    let step = limits.max_wait / 8;
    while batch.len() < limits.max_batch && Instant::now() < end {
        match requests.try_recv() {
            Ok(request) => batch.push(request),
            Err(_) => std::thread::sleep(step),
        }
    }
}

/// Encodes texts of one kind, and answers each.
fn answer(encoder: &Encoder, kind: TextKind, requests: Vec<Request>) {
    let encode = |texts: &[&str]| match kind {
        TextKind::Query => encoder.encode_queries(texts),
        TextKind::Passage => encoder.encode_passages(texts),
    };
    if requests.is_empty() {
        return;
    }
    let texts: Vec<&str> = requests.iter().map(|request| request.text.as_str()).collect();
    let answers: Vec<Result<Rows>> = match encode(&texts) {
        Ok(embeddings) => embeddings.iter().map(|rows| Ok(rows.to_vec())).collect(),
        // One bad text fails a batch: alone, each has its own answer or error.
        Err(_) => texts
            .iter()
            .map(|&text| encode(&[text]).map(|rows| rows.data).map_err(|e| selvedge::Error::from(e).into()))
            .collect(),
    };
    for (request, answer) in requests.into_iter().zip(answers) {
        // The client may have gone away.
        let _ = request.reply.send(answer);
    }
}
