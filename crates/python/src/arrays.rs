//! Arrays of embeddings.
//!
//! An array of numpy is read in place. Everything else is made one by `selvedge_search._arrays`, which knows DLPack.

use crate::errors::invalid;
use half::f16;
use numpy::{
    Element, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use selvedge::source::Source;
use selvedge::{Embeddings, Error, Result};

/// Embeddings of one text, `(T, D)`.
pub(crate) struct Rows {
    pub(crate) data: Vec<f32>,
    pub(crate) dim: usize,
}

/// Converts the embeddings of one text: an array `(T, D)` of f32 or f16, or what `_arrays.matrix` makes one.
pub(crate) fn rows_of(array: &Bound<'_, PyAny>) -> PyResult<Rows> {
    if let Some(rows) = in_place(array) {
        return Ok(rows);
    }
    let array = array.py().import("selvedge_search._arrays")?.call_method1("matrix", (array,))?;
    in_place(&array).ok_or_else(|| invalid("expected an array (T, D) of float32 or float16"))
}

fn in_place(array: &Bound<'_, PyAny>) -> Option<Rows> {
    if let Ok(array) = array.cast::<PyArray2<f32>>() {
        is_plain(array).then_some(())?;
        let array = array.try_readonly().ok()?;
        let data = array.as_slice().ok()?.to_vec();
        return Some(Rows { data, dim: array.as_array().ncols() });
    }
    let array = array.cast::<PyArray2<f16>>().ok()?;
    is_plain(array).then_some(())?;
    let array = array.try_readonly().ok()?;
    let data = array.as_slice().ok()?.iter().map(|x| x.to_f32()).collect();
    Some(Rows { data, dim: array.as_array().ncols() })
}

/// Whether the rows of an array are one list of aligned numbers. Classes that derive from numpy's, such as masked
/// arrays, mean something else by them.
fn is_plain<T: Element>(array: &Bound<'_, PyArray2<T>>) -> bool {
    array.is_exact_instance_of::<PyUntypedArray>() && array.is_c_contiguous() && array.data().is_aligned()
}

/// Array of the embeddings of all passages, which Python's side has made contiguous.
#[derive(FromPyObject)]
pub(crate) enum AllRows<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Half(PyReadonlyArray2<'py, f16>),
}

/// Source of the embeddings of an array `(N, D)`, which is read in place.
pub(crate) struct ArrayRows<'a> {
    dim: usize,
    data: Data<'a>,
    /// First row of each passage, and the end.
    offsets: Vec<usize>,
}

enum Data<'a> {
    Single(&'a [f32]),
    Half(&'a [f16]),
}

impl<'a> ArrayRows<'a> {
    /// Source of an array and the number of tokens of each passage.
    pub(crate) fn new(array: &'a AllRows<'_>, lens: &PyReadonlyArray1<'_, i64>) -> PyResult<Self> {
        let contiguous = |_| invalid("the array of embeddings is not contiguous");
        let (data, shape) = match array {
            AllRows::Single(array) => (Data::Single(array.as_slice().map_err(contiguous)?), array.as_array().dim()),
            AllRows::Half(array) => (Data::Half(array.as_slice().map_err(contiguous)?), array.as_array().dim()),
        };
        let offsets = offsets(lens, shape.0, "embeddings")?;
        Ok(Self { dim: shape.1, data, offsets })
    }
}

/// First row of each text, and the end, of the numbers of their rows; all have `rows`.
pub(crate) fn offsets(lens: &PyReadonlyArray1<'_, i64>, rows: usize, what: &str) -> PyResult<Vec<usize>> {
    let mut offsets = vec![0usize];
    for &len in lens.as_array() {
        let len = usize::try_from(len).map_err(|_| invalid(format!("lens has the negative number {len}")))?;
        offsets.push(offsets[offsets.len() - 1].saturating_add(len));
    }
    match offsets[offsets.len() - 1] {
        end if end == rows => Ok(offsets),
        end => Err(invalid(format!("lens adds up to {end}, but the {what} have {rows} rows"))),
    }
}

impl Source for ArrayRows<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn num_passages(&self) -> usize {
        self.offsets.len() - 1
    }

    fn max_doclen(&self) -> usize {
        self.offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }

    fn max_tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn needs_f32(&self) -> bool {
        matches!(self.data, Data::Single(_))
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let mut out = Embeddings { dim: self.dim, ..Embeddings::default() };
        for &pid in pids {
            let rows = self.offsets[pid as usize]..self.offsets[pid as usize + 1];
            let (values, filled) = (rows.start * self.dim..rows.end * self.dim, out.data.len());
            match self.data {
                Data::Single(data) => out.data.extend_from_slice(&data[values]),
                Data::Half(data) => out.data.extend(data[values].iter().map(|x| x.to_f32())),
            }
            if let Some(at) = out.data[filled..].iter().position(|x| !x.is_finite()) {
                let reason = format!("row {} has the component {}", at / self.dim, out.data[filled + at]);
                return Err(Error::BadEmbeddings { id: pid.to_string(), reason });
            }
            out.lens.push(rows.len() as u32);
        }
        Ok(out)
    }
}
