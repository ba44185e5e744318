//! The answer to a query.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pythonize::pythonize;
use selvedge::{Hit, SearchOutput};

/// Parts of a hit: id, score, text, metadata, snippet, explanation.
type Parts<'a, 'py> = (&'a str, f32, Option<&'a str>, Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Passages that a query found, best first. Objects of Python are made of those that are looked at.
#[pyclass(frozen, module = "selvedge_search._selvedge")]
pub(crate) struct Results(pub(crate) SearchOutput);

#[pymethods]
impl Results {
    fn __len__(&self) -> usize {
        self.0.hits.len()
    }

    fn ids(&self) -> Vec<&str> {
        self.0.hits.iter().map(|hit| hit.id.as_str()).collect()
    }

    fn scores<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        self.0.hits.iter().map(|hit| hit.score).collect::<Vec<_>>().into_pyarray(py)
    }

    fn texts(&self) -> Vec<Option<&str>> {
        self.0.hits.iter().map(|hit| hit.text.as_deref()).collect()
    }

    /// Returns the parts of one passage.
    fn hit<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Parts<'_, 'py>> {
        let hit = self.0.hits.get(number).ok_or_else(|| PyIndexError::new_err(number))?;
        let Hit { id, score, text, metadata, snippet, explanation, .. } = hit;
        let metadata = pythonize(py, metadata)?;
        Ok((id, *score, text.as_deref(), metadata, pythonize(py, snippet)?, pythonize(py, explanation)?))
    }

    /// Time of each stage in microseconds.
    #[getter]
    fn stages_us<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.stages_us)?)
    }

    /// Time of reading ids, texts and metadata, of snippets, explanations and facets, in microseconds.
    #[getter]
    fn output_us(&self) -> f64 {
        self.0.output_us
    }

    #[getter]
    fn num_scored(&self) -> usize {
        self.0.num_scored
    }

    /// Values of each requested key with the numbers of passages that have them.
    #[getter]
    fn facets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.facets)?)
    }
}
