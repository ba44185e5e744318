//! Work on rayon pools, awaited from async code: the async threads compute nothing.

use crate::error::{ApiError, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A pool of threads.
#[derive(Clone)]
pub(crate) struct Pool(Arc<ThreadPool>);

impl Pool {
    /// Starts a pool of `threads`.
    pub(crate) fn new(name: &'static str, threads: usize) -> Result<Self> {
        let builder =
            ThreadPoolBuilder::new().num_threads(threads).thread_name(move |n| format!("selvedge-{name}-{n}"));
        let pool = builder.build().map_err(|error| ApiError::internal(format!("threads do not start: {error}")))?;
        Ok(Self(Arc::new(pool)))
    }

    /// The pool itself, for those that share it.
    pub(crate) fn shared(&self) -> Arc<ThreadPool> {
        Arc::clone(&self.0)
    }

    /// Runs `work` on the pool and awaits its result. A panic becomes an error.
    ///
    /// If the caller stops waiting, work that has not begun is left out, and work that has begun goes on.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (reply, result) = oneshot::channel();
        self.0.spawn(move || {
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
