//! Threads that the engine's parallel work runs on.
//!
//! They are rayon's global ones, until a number of threads is set, or the process forks: a child has none of its
//! parent's threads, and work that waited for them would never end.

use crate::errors::{invalid, wrong_type};
use crate::json::type_name;
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

/// Runs short work, which waits for nothing, on the threads of this process.
pub(crate) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> PyResult<R> {
    Ok(match pool()? {
        None => work(),
        Some(pool) => pool.install(work),
    })
}

/// Runs work that may wait for Python's code. If the threads are not the global ones, it has as many of its own: others
/// must not wait for those that wait.
pub(crate) fn on_own_pool<R: Send>(work: impl FnOnce() -> R + Send) -> PyResult<R> {
    Ok(match pool()? {
        None => work(),
        Some(pool) => new_pool(pool.current_num_threads())?.install(work),
    })
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
pub(crate) fn set_threads(py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<()> {
    let most = 64.max(8 * std::thread::available_parallelism().map_or(1, usize::from));
    if !n.hasattr("__index__")? {
        return Err(wrong_type(format!("n is a {}; give an int", type_name(n))));
    }
    let n = (n.extract::<usize>().ok().filter(|&n| n <= most))
        .ok_or_else(|| invalid(format!("{n} threads: give a number up to {most}, or 0 for one per core")))?;
    let pool = (std::process::id(), new_pool(n)?);
    // The threads before end when no work has them. Threads of a parent are not there.
    py.detach(|| {
        let before = POOL.lock().unwrap_or_else(PoisonError::into_inner).replace(pool);
        std::mem::forget(before.filter(|(owner, _)| *owner != std::process::id()));
    });
    Ok(())
}

fn new_pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Arc::new).map_err(|error| invalid(format!("{threads} threads cannot be started: {error}")))
}
