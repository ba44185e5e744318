//! Requests of a queue, and the thread that answers them in batches.

use super::pending::Slot;
use super::{QueryEmbeddings, QueueOptions, QueueStats, lock};
use crate::{Error, PassageSet, Search, SearchParams};
use selvedge_backend::Embeddings;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Query with everything that its answer depends on, and the place for the answer.
pub(super) struct Request {
    pub(super) slot: Arc<Slot>,
    pub(super) searcher: Arc<dyn Search>,
    pub(super) query: QueryEmbeddings,
    pub(super) params: SearchParams,
    pub(super) set: Option<Arc<PassageSet>>,
    pub(super) arrived: Instant,
}

impl Request {
    /// Whether two requests may be in one batch.
    fn goes_with(&self, other: &Self) -> bool {
        let are_same_sets = match (&self.set, &other.set) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.params == other.params && are_same_sets && Arc::ptr_eq(&self.searcher, &other.searcher)
    }
}

/// The last resort, of a panic that leaves a request without an answer.
impl Drop for Request {
    fn drop(&mut self) {
        self.slot.put(Err(Error::QueueClosed));
    }
}

/// Part of a queue that its thread and its callers share.
pub(super) struct Shared {
    pub(super) options: QueueOptions,
    waiting: Mutex<Waiting>,
    /// A request has arrived, or the queue is closed. Only the thread of the queue waits for it.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Requests that wait, oldest first.
    requests: VecDeque<Request>,
    is_closed: bool,
    stats: QueueStats,
}

impl Shared {
    pub(super) fn new(options: QueueOptions) -> Self {
        Self { options, waiting: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn stats(&self) -> QueueStats {
        let waiting = lock(&self.waiting);
        QueueStats { num_waiting: waiting.requests.len(), ..waiting.stats }
    }

    /// Lets the thread end once no request waits.
    pub(super) fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.changed.notify_one();
    }

    /// Queues a request, or answers it with the reason why not.
    pub(super) fn push(&self, request: Request) {
        let mut waiting = lock(&self.waiting);
        let num_waiting = waiting.requests.len();
        let error = if waiting.is_closed {
            Error::QueueClosed
        } else if num_waiting >= self.options.max_waiting.max(1) {
            Error::QueueFull { waiting: num_waiting }
        } else {
            waiting.requests.push_back(request);
            waiting.stats.num_requests += 1;
            drop(waiting);
            return self.changed.notify_one();
        };
        drop(waiting);
        request.slot.put(Err(error));
    }

    /// Takes a request out of the queue, if it still waits.
    pub(super) fn cancel(&self, slot: &Arc<Slot>) {
        let mut waiting = lock(&self.waiting);
        let at = waiting.requests.iter().position(|request| Arc::ptr_eq(&request.slot, slot));
        let cancelled = at.and_then(|at| waiting.requests.remove(at));
        waiting.stats.num_cancelled += u64::from(cancelled.is_some());
        // Its searcher may be freed with it: not under the lock.
        drop(waiting);
    }

    /// Answers batches until the queue is closed and empty.
    pub(super) fn serve(&self) {
        let _ends = Ends(self);
        while let Some(batch) = self.next_batch() {
            answer(&batch, self.options.pool.as_deref());
        }
    }

    /// Waits for the next batch and takes it; `None` if the queue is closed and empty.
    fn next_batch(&self) -> Option<Vec<Request>> {
        let max_batch = self.options.max_batch.max(1);
        let mut waiting = lock(&self.waiting);
        loop {
            let Some(oldest) = waiting.requests.front() else {
                if waiting.is_closed {
                    return None;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.options.max_wait.saturating_sub(oldest.arrived.elapsed());
            if left.is_zero() || waiting.is_closed || waiting.requests.len() >= max_batch {
                return Some(waiting.take(max_batch));
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Waiting {
    /// Takes the oldest request and the next ones that go with it.
    fn take(&mut self, max_batch: usize) -> Vec<Request> {
        let mut batch: Vec<Request> = Vec::new();
        for request in std::mem::take(&mut self.requests) {
            let is_taken = batch.len() < max_batch && batch.first().is_none_or(|first| first.goes_with(&request));
            if is_taken { batch.push(request) } else { self.requests.push_back(request) }
        }
        self.stats.num_batches += 1;
        self.stats.largest_batch = self.stats.largest_batch.max(batch.len());
        batch
    }
}

/// Closes a queue when its thread ends, by a panic too, and answers the requests that still wait.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0.waiting);
        waiting.is_closed = true;
        let left = std::mem::take(&mut waiting.requests);
        drop(waiting);
        drop(left);
    }
}

/// Searches a batch, and answers each of its requests.
fn answer(batch: &[Request], pool: Option<&rayon::ThreadPool>) {
    let Some(Request { searcher, params, set, .. }) = batch.first() else { return };
    let queries: Vec<Embeddings<'_>> = batch.iter().map(|request| request.query.as_ref()).collect();
    let search = || {
        // Once the last caller has gone away, nothing is left to search for.
        let goes_on = || batch.iter().any(|request| !request.slot.is_abandoned());
        let rankings = searcher.search_embeddings_while(&queries, params, set.as_deref(), &goes_on)?;
        assert_eq!(rankings.len(), queries.len(), "rankings of a batch");
        Ok(rankings)
    };
    // A searcher is shared by reference, so that whatever a panic leaves is seen by other threads anyway.
    let found = catch_unwind(AssertUnwindSafe(|| match pool {
        Some(pool) => pool.install(search),
        None => search(),
    }));
    let put_errors = |error: &dyn Fn() -> Error| batch.iter().for_each(|request| request.slot.put(Err(error())));
    match found {
        Ok(Ok(rankings)) => batch.iter().zip(rankings).for_each(|(request, ranking)| request.slot.put(Ok(ranking))),
        Ok(Err(Error::OtherGeneration)) => put_errors(&|| Error::OtherGeneration),
        // The fault of one query, which the host could not see.
        Ok(Err(error @ (Error::NotFinite { .. } | Error::TooLarge { .. }))) => match batch {
            [request] => request.slot.put(Err(error)),
            _ => batch.chunks(1).for_each(|request| answer(request, pool)),
        },
        Ok(Err(error)) => {
            let error = Arc::new(error);
            put_errors(&|| Error::Batch(Arc::clone(&error)));
        }
        Err(panic) => put_errors(&|| Error::SearchPanicked { message: message(&*panic) }),
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
