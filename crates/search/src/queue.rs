//! Queue in front of a searcher, which answers the requests of concurrent callers in batches.
//!
//! ```text
//! callers --search--> requests, oldest first --one thread--> Search::search_batch --> Pending: a future, or wait()
//! ```
//!
//! **Batches.** The thread waits until [`QueueOptions::max_batch`] requests are waiting, or
//! [`QueueOptions::max_wait`] has passed since the oldest of them arrived. It then searches the oldest request,
//! together with the next ones that have equal [`SearchParams`], the same set (the same [`Arc`]) and the same searcher.
//! Other requests keep their places. Requests that arrive during a search wait for the next batch, so batches grow with
//! the load even if `max_wait` is 0.
//!
//! **Errors.** A query that [`query::check`] refuses fails alone: before it is queued, or, if only a device sees its
//! components, when it is searched, and then the others of its batch are searched again. If the searcher fails or
//! panics, each request of that batch gets the error ([`Error::Batch`], [`Error::SearchPanicked`]), and the thread
//! continues with the next batch. No request is left without an answer.
//!
//! **Cancellation.** A [`Pending`] that is dropped takes its request out of the queue. A search that has begun is
//! stopped once all of its callers have gone away: see [`Search::search_embeddings_while`].

mod batches;
mod pending;

pub use pending::Pending;

use crate::{Error, PassageSet, Result, Search, SearchParams, query};
use batches::{Request, Shared};
use pending::Slot;
use selvedge_backend::Embeddings;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Options of a [`Queue`].
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// Largest number of queries of a batch; at least 1. The default of 32 gives each of up to 32 cores a query of an
    /// approximate search. On two cores, the time per query falls by a quarter up to 32, and no further at 64.
    pub max_batch: usize,
    /// Longest time that the oldest request waits for a batch to fill. The default of 0 delays no request while the
    /// searcher is idle. More than 0 fills batches better where requests arrive one by one.
    pub max_wait: Duration,
    /// Largest number of requests that wait; at least 1. The default of 1,024 is 32 full batches: that many bound the
    /// wait of the last request, and take 16 MiB for queries of 32 tokens and 128 components.
    pub max_waiting: usize,
    /// Rayon pool for parallel work. Without one, the thread of the queue calls the searcher from outside of any pool,
    /// so that parallel work runs on rayon's global pool.
    pub pool: Option<Arc<rayon::ThreadPool>>,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { max_batch: 32, max_wait: Duration::ZERO, max_waiting: 1024, pool: None }
    }
}

/// Embeddings of a query `(Q, D) f32` that a [`Queue`] keeps until they are searched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueryEmbeddings {
    /// Embeddings in the memory of the host.
    Host(Vec<f32>),
    /// Embeddings in the memory of a GPU, such as a [copy](selvedge_backend::Cuda::copy_of) of another library's.
    #[cfg(feature = "cuda")]
    Device(Arc<selvedge_backend::cuda::DeviceEmbeddings<'static>>),
}

#[cfg(feature = "cuda")]
impl From<selvedge_backend::cuda::DeviceEmbeddings<'static>> for QueryEmbeddings {
    fn from(embeddings: selvedge_backend::cuda::DeviceEmbeddings<'static>) -> Self {
        Self::Device(Arc::new(embeddings))
    }
}

impl From<Vec<f32>> for QueryEmbeddings {
    fn from(embeddings: Vec<f32>) -> Self {
        Self::Host(embeddings)
    }
}

impl QueryEmbeddings {
    pub(crate) fn as_ref(&self) -> Embeddings<'_> {
        match self {
            Self::Host(embeddings) => Embeddings::Host(embeddings),
            #[cfg(feature = "cuda")]
            Self::Device(embeddings) => Embeddings::Device(embeddings),
        }
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn lasting(&self) -> selvedge_backend::cuda::LastingEmbeddings<'_> {
        use selvedge_backend::cuda::LastingEmbeddings;
        match self {
            Self::Host(embeddings) => LastingEmbeddings::Host(embeddings),
            Self::Device(embeddings) => LastingEmbeddings::Device(embeddings),
        }
    }
}

/// Counters of a [`Queue`] since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Number of requests that were queued; those that were refused at once are not counted.
    pub num_requests: u64,
    /// Number of batches that were searched.
    pub num_batches: u64,
    /// Number of queries of the largest batch.
    pub largest_batch: usize,
    /// Number of requests that were cancelled before they were searched.
    pub num_cancelled: u64,
    /// Number of requests that wait now.
    pub num_waiting: usize,
}

/// Queue in front of a searcher, shared by any number of callers; the [module](crate::queue) has its rules.
///
/// Callers are never blocked: [`Queue::search`] takes a lock for a moment, and returns a future.
///
/// ```no_run
/// use selvedge_search::{Queue, Ranking, Result};
///
/// async fn answer(queue: &Queue, embeddings: Vec<f32>) -> Result<Ranking> {
///     let params = queue.searcher().params(10, None);
///     queue.search(embeddings, params, None).await
/// }
/// ```
///
/// Text has to be encoded before, which takes longer than most searches: do it where an async runtime allows a call to
/// block, such as `spawn_blocking` of tokio.
///
/// When the queue is dropped, the requests that wait are still answered, without waiting for batches to fill; then its
/// thread ends. [`Queue::close`] also waits for that, dropping does not.
pub struct Queue {
    searcher: RwLock<Arc<dyn Search>>,
    shared: Arc<Shared>,
    /// `None` while [`Queue::close`] waits for it.
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    /// Starts the thread of a queue in front of `searcher`.
    ///
    /// # Errors
    /// [`Error::NoThread`] if the system cannot start a thread.
    pub fn new(searcher: Arc<dyn Search>, options: QueueOptions) -> Result<Self> {
        let shared = Arc::new(Shared::new(options));
        let of_thread = Arc::clone(&shared);
        let serve = move || of_thread.serve();
        let thread = thread::Builder::new().name("selvedge-queue".to_owned()).spawn(serve).map_err(Error::NoThread)?;
        Ok(Self { searcher: RwLock::new(searcher), shared, thread: Some(thread) })
    }

    /// Returns the searcher of new requests.
    pub fn searcher(&self) -> Arc<dyn Search> {
        Arc::clone(&self.searcher.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows to the searcher of another generation. Requests that are queued keep the searcher that they have. The
    /// queue holds its own until then, with the memory of its generation, also if all requests name others.
    pub fn follow(&self, searcher: Arc<dyn Search>) {
        let mut current = self.searcher.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, searcher);
        // The last reference frees the index, which takes a while.
        drop(current);
        drop(before);
    }

    /// Queues a query `(Q, D) f32`, restricted to the passages of `set` if there is one, for [`Queue::searcher`].
    ///
    /// Requests share a batch only if their sets are the same [`Arc`]; [`Search::filtered`] returns the same one for
    /// equal filters. A set belongs to the searcher that made it: use [`Queue::search_on`] if the queue may have
    /// followed to another one meanwhile.
    ///
    /// # Errors
    /// The answer, rather than this function, returns them. At once:
    /// - The errors of [`query::check`].
    /// - [`Error::QueueFull`] if [`QueueOptions::max_waiting`] requests wait.
    /// - [`Error::QueueClosed`] if the thread of the queue has ended, because a searcher panicked when it was freed.
    ///
    /// After the search:
    /// - [`Error::OtherGeneration`] if another searcher has made the set.
    /// - [`Error::Batch`] with any other error of the searcher, for each request of the batch.
    /// - [`Error::SearchPanicked`] if the searcher panicked, for each request of the batch.
    ///
    /// # Panics
    /// If [`Search::dim`] is 0.
    pub fn search(
        &self,
        query: impl Into<QueryEmbeddings>,
        params: SearchParams,
        set: Option<Arc<PassageSet>>,
    ) -> Pending {
        self.search_on(self.searcher(), query, params, set)
    }

    /// Queues a query for a given searcher, such as the one that made `set`; else as [`Queue::search`].
    ///
    /// # Errors
    /// As [`Queue::search`].
    ///
    /// # Panics
    /// If [`Search::dim`] is 0.
    pub fn search_on(
        &self,
        searcher: Arc<dyn Search>,
        query: impl Into<QueryEmbeddings>,
        params: SearchParams,
        set: Option<Arc<PassageSet>>,
    ) -> Pending {
        let (query, slot) = (query.into(), Arc::new(Slot::default()));
        match query::check_embeddings(searcher.dim(), query.as_ref()) {
            Err(error) => slot.put(Err(error)),
            Ok(()) => {
                let (slot, arrived) = (Arc::clone(&slot), Instant::now());
                self.shared.push(Request { slot, searcher, query, params, set, arrived });
            }
        }
        Pending::new(slot, Arc::clone(&self.shared))
    }

    /// Returns the counters, for the metrics of a server.
    pub fn stats(&self) -> QueueStats {
        self.shared.stats()
    }

    /// Answers the requests that wait, and blocks until the thread has ended.
    pub fn close(mut self) {
        let thread = self.thread.take();
        drop(self);
        // If the thread panicked, all requests have got an error already.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (options, stats) = (&self.shared.options, self.stats());
        f.debug_struct("Queue").field("options", options).field("stats", &stats).finish_non_exhaustive()
    }
}

/// Locks a mutex. Its value is whole at each point where a panic can leave it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
