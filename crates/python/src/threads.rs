//! Threads that the engine's parallel work runs on.
//!
//! They are rayon's global ones, until a number of threads is set, or the process forks: a child has none of its
//! parent's threads, and work that waited for them would never end.

use crate::errors::invalid;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::Cell;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Process that loaded the module.
static FIRST_PROCESS: OnceLock<u32> = OnceLock::new();
/// Threads of a process, if they are not the global ones.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Notes the process in which the global threads are started.
pub(crate) fn note_process() {
    FIRST_PROCESS.get_or_init(std::process::id);
}

thread_local! {
    /// Whether this thread runs Python's code for work that waits for it.
    static IS_SERVING: Cell<bool> = const { Cell::new(false) };
}

/// Runs Python's code for work that waits for it. Calls of the engine from there have threads of their own, since the
/// work's may all be waiting.
pub(crate) fn serving<R>(code: impl FnOnce() -> R) -> R {
    let before = IS_SERVING.replace(true);
    let result = code();
    IS_SERVING.set(before);
    result
}

/// Whether this thread runs Python's code for work that waits for it.
pub(crate) fn is_serving() -> bool {
    IS_SERVING.get()
}

/// Runs work on the threads of this process.
pub(crate) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> PyResult<R> {
    match pool()? {
        None => Ok(work()),
        Some(pool) if is_serving() => Ok(new_pool(pool.current_num_threads())?.install(work)),
        Some(pool) => Ok(pool.install(work)),
    }
}

/// The threads of this process, if they are not rayon's global ones.
fn pool() -> PyResult<Option<Arc<ThreadPool>>> {
    let process = std::process::id();
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let of_parent = pool.as_ref().is_some_and(|(owner, _)| *owner != process);
    if of_parent || (pool.is_none() && FIRST_PROCESS.get() != Some(&process)) {
        let threads = pool.as_ref().map_or(0, |(_, pool)| pool.current_num_threads());
        // The parent's pool is left as it is: dropping it would wait for threads that are not there.
        std::mem::forget(pool.replace((process, new_pool(threads)?)));
    }
    Ok(pool.as_ref().map(|(_, pool)| Arc::clone(pool)))
}

/// Sets the number of threads of this process; 0 means one per core.
#[pyfunction]
pub(crate) fn set_threads(n: isize) -> PyResult<()> {
    let n = usize::try_from(n).map_err(|_| invalid(format!("{n} threads: give a number, or 0 for one per core")))?;
    let pool = (std::process::id(), new_pool(n)?);
    let before = POOL.lock().unwrap_or_else(PoisonError::into_inner).replace(pool);
    std::mem::forget(before.filter(|(owner, _)| *owner != std::process::id()));
    Ok(())
}

fn new_pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Arc::new).map_err(|error| invalid(format!("{threads} threads cannot be started: {error}")))
}
