//! Indexes of other programs, in and out.

use crate::engine::Engine;
use crate::errors::{Value, exception, invalid};
use crate::settings;
use crate::work::{self, Nothing};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::pythonize;
use selvedge::import::{self, ImportOptions, Imported};
use selvedge::{Language, Progress};
use selvedge_bridges::{Error, Found, Layout};
use std::path::{Path, PathBuf};

/// Options of an import.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct ImportSettings {
    collection: Option<PathBuf>,
    language: Option<String>,
    model: Option<String>,
    recode: bool,
    nbits: Option<u8>,
    memory: u64,
}

impl ImportSettings {
    fn options(self) -> PyResult<ImportOptions> {
        let Self { collection, language, model, recode, nbits, memory } = self;
        let language = language.as_deref().map(str::parse::<Language>).transpose();
        let language = language.map_err(|error| invalid(error.to_string()))?;
        Ok(ImportOptions { recode, nbits, collection, language, model, memory_budget: memory })
    }
}

/// Description of the source, and the counts of the index that was made of it.
#[derive(serde::Serialize)]
struct Report {
    source: Found,
    #[serde(flatten)]
    index: Option<Imported>,
}

/// Imports an index of another program, or only says what it is if there is no path to import it to.
#[pyfunction]
pub(crate) fn import_index<'py>(
    py: Python<'py>,
    source: PathBuf,
    path: Option<PathBuf>,
    settings: &Bound<'py, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = settings::read::<ImportSettings>(settings)?.options()?;
    let report = run(py, &progress, |progress| {
        let mut open = match selvedge_bridges::open(&source) {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let import = |path: &PathBuf| import::import_index(&mut open, path, &options, progress);
        let index = path.as_ref().map(import).transpose()?;
        Ok(Ok(Report { source: open.found, index }))
    })?;
    Ok(pythonize(py, &report)?)
}

#[pymethods]
impl Engine {
    /// Writes the index in the layout of another program.
    fn export<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        format: &str,
        nbits: u8,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let layout = match format {
            "plaid" => Layout::Plaid,
            "fast-plaid" => Layout::FastPlaid,
            "next-plaid" => Layout::NextPlaid,
            other => {
                let expected = "\"plaid\", \"fast-plaid\" or \"next-plaid\"";
                return Err(invalid(format!("format is {other:?}; expected {expected}")));
            }
        };
        let snapshot = self.engine()?.snapshot();
        let export =
            |progress: &dyn Progress| Ok(selvedge_bridges::export(snapshot.index(), &path, layout, nbits, progress));
        Ok(pythonize(py, &run(py, &progress, export)?)?)
    }
}

/// Runs long work, whose errors are the engine's or of formats.
fn run<R: Send>(
    py: Python<'_>,
    progress: &Option<Py<PyAny>>,
    work: impl FnOnce(&dyn Progress) -> selvedge::Result<selvedge_bridges::Result<R>> + Send,
) -> PyResult<R> {
    let result = work::run(py, progress, Nothing, |progress, _| match work(progress) {
        Ok(Err(Error::Cancelled)) => Err(selvedge::Error::Cancelled),
        Ok(Err(Error::Index(error))) => Err(error.into()),
        Err(selvedge::Error::Bridges(error)) => Ok(Err(*error)),
        result => result,
    })?;
    result.map_err(|error| raised(&error))
}

/// Makes the exception of an error that is not the engine's.
fn raised(error: &Error) -> PyErr {
    let class = match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "NotFound",
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => "IndexExists",
        Error::Io { .. } => "ReadError",
        Error::Malformed { .. } | Error::Code { .. } => "CorruptIndex",
        Error::Count { of, .. } if *of != "documents" => "CorruptIndex",
        _ => "InvalidInput",
    };
    let text = |path: &Path| Value::Text(path.display().to_string());
    let path = error.path().map(|path| ("path", text(path)));
    exception(class, &error.to_string(), &path.into_iter().collect::<Vec<_>>())
}
