//! Work on rayon pools, awaited from async code: the async threads compute nothing.

use crate::error::{ApiError, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::oneshot;

/// A pool of threads.
#[derive(Clone)]
pub(crate) struct Pool {
    threads: Arc<ThreadPool>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
}

/// The place of work that waits for a thread.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// Starts a pool of `threads`, for which at most `max_waiting` requests wait at a time.
    pub(crate) fn new(name: &'static str, threads: usize, max_waiting: usize) -> Result<Self> {
        let builder =
            ThreadPoolBuilder::new().num_threads(threads).thread_name(move |n| format!("selvedge-{name}-{n}"));
        let pool = builder.build().map_err(|error| ApiError::internal(format!("threads do not start: {error}")))?;
        Ok(Self { threads: Arc::new(pool), waiting: Arc::default(), max_waiting })
    }

    /// The pool itself, for those that share it.
    pub(crate) fn shared(&self) -> Arc<ThreadPool> {
        Arc::clone(&self.threads)
    }

    /// Runs `work` on the pool and awaits its result. A panic becomes an error.
    ///
    /// If the caller stops waiting, work that has not begun is left out, and work that has begun goes on.
    ///
    /// # Errors
    /// 429 if too much work waits.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (reply, result) = oneshot::channel();
        let place = Place(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting {
            return Err(ApiError::too_many("too many requests wait for a thread"));
        }
        self.threads.spawn(move || {
            drop(place);
            if reply.is_closed() {
                return;
            }
            // The caller may have gone away.
            let _ = reply.send(catch_unwind(AssertUnwindSafe(work)));
        });
        match result.await {
            Ok(Ok(value)) => Ok(value),
            _ => Err(ApiError::internal("the server failed at this request; its log has more")),
        }
    }
}

/// Runs what waits, such as for a disk or for a model, on a thread of its own. A panic becomes an error.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let failed = |_| ApiError::internal("the server failed at this request; its log has more");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// The result of some work, unless it takes longer than its deadline.
pub(crate) async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(ApiError::timed_out()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn beyond_its_limit_a_pool_refuses_work() {
        let pool = Pool::new("test", 1, 2).unwrap();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (began, begins) = oneshot::channel();
        let of_pool = pool.clone();
        let running = tokio::spawn(async move {
            let work = move || (began.send(()), ended.recv().is_ok());
            of_pool.run(work).await.map(|(_, is_ok)| is_ok)
        });
        begins.await.unwrap();
        // What runs does not wait.
        let waiting: Vec<_> = (0..2).map(|n| Box::pin(pool.run(move || n))).collect();
        let mut waiting = futures_util::future::join_all(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(pool.run(|| ()).await.unwrap_err().code, "RATE_LIMITED");
        end.send(()).unwrap();
        assert!(running.await.unwrap().unwrap());
        assert_eq!(waiting.await.into_iter().collect::<Result<Vec<i32>>>().unwrap(), [0, 1]);
        assert_eq!(pool.run(|| 3).await.unwrap(), 3);
    }
}
