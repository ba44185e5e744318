//! MaxSim of embeddings without an index.

use crate::arrays::offsets;
use crate::errors::{exception, invalid};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use selvedge::{Backend, Cpu};

/// MaxSim in f32 of queries `(sum of Q, D)` with documents `(N, D)`, whose lengths are given: `(B, P)`. A document
/// without tokens scores minus infinity.
#[pyfunction]
pub(crate) fn maxsim<'py>(
    py: Python<'py>,
    queries: PyReadonlyArray2<'py, f32>,
    query_lens: PyReadonlyArray1<'py, i64>,
    documents: PyReadonlyArray2<'py, f32>,
    lens: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let dim = queries.as_array().ncols();
    if documents.as_array().ncols() != dim && documents.as_array().nrows() > 0 {
        let found = documents.as_array().ncols();
        let message = format!("the queries have dimension {dim}, the documents {found}");
        let number = |number: usize| crate::errors::Value::Number(number as u64);
        return Err(exception("DimensionMismatch", &message, &[("expected", number(dim)), ("found", number(found))]));
    }
    let query_offsets = offsets(&query_lens, queries.as_array().nrows(), "queries")?;
    let passage_offsets = offsets(&lens, documents.as_array().nrows(), "documents")?;
    if dim == 0 {
        return Err(invalid("embeddings have no components"));
    }
    let contiguous = |_| invalid("an array is not contiguous");
    let (rows, all) = (queries.as_slice().map_err(contiguous)?, documents.as_slice().map_err(contiguous)?);
    for (what, values) in [("queries", rows), ("documents", all)] {
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return Err(invalid(format!("row {} of the {what} has a component that is not finite", at / dim)));
        }
    }
    let scores =
        crate::work::detached(py, || Ok(Cpu::new()?.maxsim_f32(dim, rows, &query_offsets, all, &passage_offsets)?))?;
    scores.into_pyarray(py).reshape([query_offsets.len() - 1, passage_offsets.len() - 1])
}
