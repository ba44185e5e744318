//! Collections of several indexes: small files beside them, in folders and object stores.

use crate::errors::to_py;
use pyo3::prelude::*;
use selvedge_index::{Storage, storage_at};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs an operation on the files of a folder or a URL, while Python goes on.
fn on<T: Send>(
    py: Python<'_>,
    folder: &Path,
    work: impl FnOnce(Arc<dyn Storage>) -> io::Result<T> + Send,
) -> PyResult<T> {
    let done = py.detach(|| {
        let storage = storage_at(folder)?;
        work(storage).map_err(|source| selvedge::IndexError::Io { path: folder.to_owned(), source })
    });
    done.map_err(|error| to_py(error.into()))
}

/// Names of the files of a folder or a URL; none where there is no folder.
#[pyfunction]
pub(crate) fn list_files(py: Python<'_>, folder: PathBuf) -> PyResult<Vec<String>> {
    on(py, &folder, |storage| match storage.list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    })
}

/// Creates a file; false if there is one of the name.
#[pyfunction]
pub(crate) fn put_new(py: Python<'_>, folder: PathBuf, name: &str, contents: &[u8]) -> PyResult<bool> {
    on(py, &folder, |storage| selvedge_index::put_new(&*storage, name, contents))
}

/// Number of centroids that an index of `tokens` embeddings has by default.
#[pyfunction]
pub(crate) fn num_centroids(tokens: usize) -> usize {
    selvedge::planned_centroids(tokens)
}

/// Contents of a file; None if there is none of the name.
#[pyfunction]
pub(crate) fn read_file(py: Python<'_>, folder: PathBuf, name: &str) -> PyResult<Option<Vec<u8>>> {
    on(py, &folder, |storage| match storage.map(name) {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
}
