//! Building, changing, measuring and checking indexes.

use crate::arrays::ArrayRows;
use crate::documents::Numbering;
use crate::encoder::Encoder;
use crate::engine::Engine;
use crate::errors::{invalid, to_py};
use crate::input::{Input, OptionalDocuments, Take};
use crate::settings::{self, BuildSettings, read_options};
use crate::work::{self, Items, Nothing};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::pythonize;
use selvedge::change::{CompactOptions, Retrain, compact, default_policy, update_folder};
use selvedge::{
    AddOptions, Additions, BuildOptions, BuildReport, ChangeReport, Document, EmbeddedDocument, Error, Progress,
    Result, build,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Builds an index, and returns its counts.
#[pyfunction]
#[pyo3(name = "build")]
pub(crate) fn build_index<'py>(
    py: Python<'py>,
    path: PathBuf,
    input: Input<'py>,
    settings: &Bound<'py, PyDict>,
    encoder: Option<PyRef<'py, Encoder>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut options = settings::read::<BuildSettings>(settings)?.options()?;
    if !input.is_text() {
        options.language = None;
    }
    let encoder = encoder.map(|encoder| Arc::clone(&encoder.0));
    let report = input.give(py, &progress, Numbering::From(0), Build { path: &path, options, encoder })?;
    Ok(pythonize(py, &report)?)
}

/// A build of passages in any form.
struct Build<'a> {
    path: &'a Path,
    options: BuildOptions,
    /// An encoder that is loaded; otherwise the options name one.
    encoder: Option<Arc<selvedge::Encoder>>,
}

impl Build<'_> {
    fn encoder(&self) -> Result<Arc<selvedge::Encoder>> {
        let load = || Ok(Arc::new(selvedge::Encoder::load(&self.options.model, &self.options.encoder)?));
        self.encoder.clone().map_or_else(load, Ok)
    }
}

impl Take for Build<'_> {
    type Output = BuildReport;

    fn collection(self, path: &Path, progress: &dyn Progress) -> Result<BuildReport> {
        build::from_text(path, self.path, &*self.encoder()?, &self.options, progress)
    }

    fn documents(self, documents: Items<Document>, progress: &dyn Progress) -> Result<BuildReport> {
        build::from_documents(documents, self.path, &*self.encoder()?, &self.options, progress)
    }

    fn embedded(
        self,
        dim: Option<usize>,
        documents: Items<EmbeddedDocument>,
        progress: &dyn Progress,
    ) -> Result<BuildReport> {
        let dim = dim.ok_or(Error::NoDocuments)?;
        build::from_embedded(dim, documents, self.path, &self.options, progress)
    }

    fn array(
        self,
        source: &mut ArrayRows<'_>,
        documents: OptionalDocuments<'_>,
        progress: &dyn Progress,
    ) -> Result<BuildReport> {
        build::from_source(source, documents, self.path, &self.options, progress)
    }
}

/// An addition of passages in any form.
struct Add<'a> {
    engine: &'a selvedge::Engine,
    options: AddOptions,
}

impl Take for Add<'_> {
    type Output = ChangeReport;

    fn collection(self, path: &Path, progress: &dyn Progress) -> Result<ChangeReport> {
        self.engine.add(Additions::Collection(path), &self.options, progress)
    }

    fn documents(self, documents: Items<Document>, progress: &dyn Progress) -> Result<ChangeReport> {
        self.engine.add(Additions::Documents(Box::new(documents)), &self.options, progress)
    }

    fn embedded(
        self,
        dim: Option<usize>,
        documents: Items<EmbeddedDocument>,
        progress: &dyn Progress,
    ) -> Result<ChangeReport> {
        let expected = self.engine.snapshot().index().dim();
        if let Some(found) = dim.filter(|&dim| dim != expected) {
            return Err(selvedge::SearchError::DimMismatch { expected, found }.into());
        }
        self.engine.add(Additions::Embedded(Box::new(documents)), &self.options, progress)
    }

    fn array(
        self,
        source: &mut ArrayRows<'_>,
        documents: OptionalDocuments<'_>,
        progress: &dyn Progress,
    ) -> Result<ChangeReport> {
        self.engine.add(Additions::Source(source, documents), &self.options, progress)
    }
}

#[pymethods]
impl Engine {
    /// Adds passages, or replaces those that have their ids.
    fn add<'py>(
        &self,
        py: Python<'py>,
        input: Input<'py>,
        replace: bool,
        memory: u64,
        merge: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.changeable()?;
        let policy = merge.then(default_policy);
        let options = AddOptions { replace, memory_budget: memory, policy, ..AddOptions::default() };
        let numbering = match replace {
            true => Numbering::Refused,
            false => Numbering::From(engine.snapshot().index().manifest().num_added as usize),
        };
        let report = input.give(py, &progress, numbering, Add { engine: &engine, options })?;
        Ok(pythonize(py, &report)?)
    }

    /// Brings the index up to date with the folder that it was made from.
    #[allow(clippy::too_many_arguments)]
    fn update_folder<'py>(
        &self,
        py: Python<'py>,
        folder: PathBuf,
        memory: u64,
        merge: bool,
        include: Vec<String>,
        exclude: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.changeable()?;
        let read = read_options(None, &include, &exclude);
        let policy = merge.then(default_policy);
        let options = AddOptions { memory_budget: memory, policy, read, ..AddOptions::default() };
        let report = work::run(py, &progress, Nothing, |progress, _| {
            let report = update_folder(&folder, engine.snapshot().index().path(), &options, progress)?;
            engine.refresh()?;
            Ok(report)
        })?;
        Ok(pythonize(py, &report)?)
    }

    /// Deletes passages by their ids.
    fn delete<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        ignore_missing: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.changeable()?;
        let ids = crate::documents::ids_of(ids)?;
        let report = work::run(py, &None, Nothing, |_, _| engine.delete(&ids, ignore_missing))?;
        Ok(pythonize(py, &report)?)
    }

    /// Merges segments, and trains another codec if requested: from what the index stores, or from its texts.
    fn compact<'py>(
        &self,
        py: Python<'py>,
        retrain: Option<&str>,
        memory: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.changeable()?;
        let retrain = match retrain {
            None => Retrain::No,
            Some("stored") => Retrain::FromStored,
            Some("text") => Retrain::FromText,
            Some(other) => return Err(invalid(format!("retrain is {other:?}; expected \"stored\" or \"text\""))),
        };
        let options = CompactOptions { memory_budget: memory, retrain, ..CompactOptions::default() };
        let report = work::run(py, &progress, Nothing, |progress, _| {
            let report = compact(engine.snapshot().index().path(), &options, progress)?;
            engine.refresh()?;
            Ok(report)
        })?;
        Ok(pythonize(py, &report)?)
    }
}

/// Checks every byte of the index at a path; returns the state of each file: name, bytes, fault.
#[pyfunction]
pub(crate) fn verify(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(String, u64, Option<String>)>> {
    let report = work::run(py, &None, Nothing, |_, _| Ok(selvedge_index::verify(&path)?))?;
    let fault = |file: &selvedge_index::FileReport| file.status.as_ref().err().map(ToString::to_string);
    Ok(report.files.iter().map(|file| (file.file.name(), file.bytes, fault(file))).collect())
}

/// Whether there is an index at a path, be it damaged or of an earlier format.
#[pyfunction]
pub(crate) fn is_index(py: Python<'_>, path: PathBuf) -> bool {
    let opened = py.detach(|| selvedge::Index::open(&path, selvedge::Check::Structure));
    !matches!(opened, Err(selvedge::IndexError::NoIndex { .. }))
}

/// Checks that no writer changes the index at a path. One that cannot be opened has none.
#[pyfunction]
pub(crate) fn check_lock(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    match py.detach(|| selvedge_index::check_unlocked(&path)) {
        Err(error @ selvedge::IndexError::Locked { .. }) => Err(to_py(error.into())),
        _ => Ok(()),
    }
}
