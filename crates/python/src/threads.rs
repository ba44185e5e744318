//! Threads that the engine's parallel work runs on.
//!
//! They are rayon's global ones, until a number of threads is set, or the process forks: a child has none of its
//! parent's threads, and work that waited for them would never end.

use crate::errors::invalid;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Process that loaded the module.
static FIRST_PROCESS: OnceLock<u32> = OnceLock::new();
/// Threads of a process, if they are not the global ones.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Notes the process in which the global threads are started.
pub(crate) fn note_process() {
    FIRST_PROCESS.get_or_init(std::process::id);
}

/// Runs work on the threads of this process.
pub(crate) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> PyResult<R> {
    let process = std::process::id();
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let of_parent = pool.as_ref().is_some_and(|(owner, _)| *owner != process);
    if of_parent || (pool.is_none() && FIRST_PROCESS.get() != Some(&process)) {
        let threads = pool.as_ref().map_or(0, |(_, pool)| pool.current_num_threads());
        // The parent's pool is left as it is: dropping it would wait for threads that are not there.
        std::mem::forget(pool.replace((process, new_pool(threads)?)));
    }
    let Some(pool) = pool.as_ref().map(|(_, pool)| Arc::clone(pool)) else {
        drop(pool);
        return Ok(work());
    };
    Ok(pool.install(work))
}

/// Sets the number of threads of this process; 0 means one per core.
#[pyfunction]
pub(crate) fn set_threads(n: usize) -> PyResult<()> {
    let pool = (std::process::id(), new_pool(n)?);
    let before = POOL.lock().unwrap_or_else(PoisonError::into_inner).replace(pool);
    std::mem::forget(before.filter(|(owner, _)| *owner != std::process::id()));
    Ok(())
}

fn new_pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Arc::new).map_err(|error| invalid(format!("{threads} threads cannot be started: {error}")))
}
