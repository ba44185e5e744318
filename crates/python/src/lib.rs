//! The extension module of `selvedge_search`: conversions between Python's objects and the engine.
//!
//! The Python package in `python/selvedge_search` gives it its public form.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the program `selvedge` with these arguments, the first of which is its name; returns its exit code.
#[pyfunction]
fn run_cli(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| selvedge_cli::run(args))
}

#[pymodule]
fn _selvedge(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(run_cli, module)?)
}
