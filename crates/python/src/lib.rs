//! The extension module of `selvedge_search`: conversions between Python's objects and the engine.
//!
//! The package in `python/selvedge_search` gives it its public form; `_selvedge.pyi` there types it.
#![deny(unsafe_code)]
// Its symbols of Python come from the interpreter, which a program of tests is not.
#![cfg(not(test))]

mod arrays;
mod bridges;
mod change;
mod documents;
mod encoder;
mod engine;
mod errors;
mod filter;
mod gpu;
mod input;
mod json;
mod log;
mod measure;
mod objects;
mod query;
mod results;
mod scores;
mod settings;
mod threads;
mod work;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::OsString;

/// Runs the program `selvedge` with these arguments, the first of which is its name; returns its exit code.
#[pyfunction]
fn run_cli(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| selvedge_cli::run(args))
}

#[pymodule]
fn _selvedge(module: &Bound<'_, PyModule>) -> PyResult<()> {
    threads::note_process();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<encoder::Encoder>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<results::Results>()?;
    module.add_function(wrap_pyfunction!(bridges::import_index, module)?)?;
    module.add_function(wrap_pyfunction!(change::build_index, module)?)?;
    module.add_function(wrap_pyfunction!(change::check_lock, module)?)?;
    module.add_function(wrap_pyfunction!(change::is_index, module)?)?;
    module.add_function(wrap_pyfunction!(change::verify, module)?)?;
    module.add_function(wrap_pyfunction!(filter::filled, module)?)?;
    module.add_function(wrap_pyfunction!(objects::list_files, module)?)?;
    module.add_function(wrap_pyfunction!(objects::num_centroids, module)?)?;
    module.add_function(wrap_pyfunction!(objects::put_new, module)?)?;
    module.add_function(wrap_pyfunction!(objects::read_file, module)?)?;
    module.add_function(wrap_pyfunction!(run_cli, module)?)?;
    module.add_function(wrap_pyfunction!(scores::maxsim, module)?)?;
    module.add_function(wrap_pyfunction!(work::after_fork, module)?)?;
    module.add_function(wrap_pyfunction!(work::stop_all, module)?)?;
    module.add_function(wrap_pyfunction!(threads::set_threads, module)?)?;
    register(module)
}

/// Has the interpreter call this module at its end, when threads that are at work come back before it is gone, and in
/// processes that are forked.
fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    py.import("atexit")?.call_method1("register", (module.getattr("stop_all")?,))?;
    if let Ok(register) = py.import("os")?.getattr("register_at_fork") {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", module.getattr("after_fork")?)?;
        register.call((), Some(&hooks))?;
    }
    Ok(())
}
