//! Queries whose embeddings are on a GPU: they are searched there, without a copy to the host.
//!
//! Arrays of CUDA name their memory by `__cuda_array_interface__` (version 3): tensors of torch, arrays of cupy and jax
//! have it. An array of another device, or of other components, goes by the host.

use pyo3::prelude::*;
use selvedge::{Device, Engine, OpenOptions, SearchOptions, SearchOutput, Snapshot};
use std::path::Path;

/// GPU that an index is on.
#[derive(Clone)]
pub(crate) struct Gpu {
    #[cfg(feature = "cuda")]
    cuda: selvedge::cuda::Cuda,
}

/// Opens an index on its device.
pub(crate) fn open(path: &Path, options: OpenOptions) -> selvedge::Result<(Engine, Option<Gpu>)> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(number) = options.device {
        let cuda = selvedge::cuda::Cuda::new(number)?;
        return Ok((Engine::open_on(path, cuda.clone(), options)?, Some(Gpu { cuda })));
    }
    debug_assert!(options.device == Device::Cpu || !cfg!(feature = "cuda"));
    Ok((Engine::open(path, options)?, None))
}

/// Embeddings `(Q, D)` of a query on a GPU.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))]
pub(crate) struct DeviceRows {
    address: u64,
    shape: (usize, usize),
    is_half: bool,
    /// Stream of the work that writes them; 0 is the default one.
    stream: u64,
    /// Keeps the memory.
    _owner: Py<PyAny>,
}

impl DeviceRows {
    /// Number of components of an embedding.
    pub(crate) fn dim(&self) -> usize {
        self.shape.1
    }

    /// Reads the interface of each query; `None` if one has none that is understood.
    pub(crate) fn all(queries: &[Bound<'_, PyAny>]) -> Option<Vec<Self>> {
        let all: Option<Vec<_>> = queries.iter().map(Self::of).collect();
        all.filter(|all| !all.is_empty() && all.iter().all(|rows| rows.dim() == all[0].dim()))
    }

    fn of(query: &Bound<'_, PyAny>) -> Option<Self> {
        // Torch refuses tensors that require a gradient, and types that the interface lacks.
        let interface = query.getattr("__cuda_array_interface__").ok()?;
        let item = |name: &str| interface.get_item(name).ok().filter(|item| !item.is_none());
        let shape: (usize, usize) = item("shape")?.extract().ok()?;
        let (address, _): (u64, bool) = item("data")?.extract().ok()?;
        let is_half = match item("typestr")?.extract::<String>().ok()?.as_str() {
            "<f4" => false,
            "<f2" => true,
            _ => return None,
        };
        if let Some(strides) = item("strides") {
            let size = if is_half { 2 } else { 4 };
            let strides: (usize, usize) = strides.extract().ok()?;
            (strides == (shape.1 * size, size)).then_some(())?;
        }
        let stream = match item("stream") {
            // 1 names the default stream, too.
            Some(stream) => stream.extract::<u64>().ok().map(|stream| if stream == 1 { 0 } else { stream })?,
            None => current_stream(query),
        };
        Some(Self { address, shape, is_half, stream, _owner: query.clone().unbind() })
    }
}

/// Stream of torch's work, for its tensors, whose interface does not name it.
fn current_stream(query: &Bound<'_, PyAny>) -> u64 {
    let of_torch = || -> PyResult<u64> {
        let modules = query.py().import("sys")?.getattr("modules")?;
        let torch = modules.get_item("torch")?;
        let stream = torch.getattr("cuda")?.call_method1("current_stream", (query.getattr("device")?,))?;
        stream.getattr("cuda_stream")?.extract()
    };
    of_torch().unwrap_or(0)
}

/// Embeddings of queries as the device's search reads them.
#[cfg(feature = "cuda")]
pub(crate) type OnDevice<'a> = selvedge::cuda::DeviceEmbeddings<'a>;
#[cfg(not(feature = "cuda"))]
pub(crate) struct OnDevice<'a>(std::marker::PhantomData<&'a ()>);

impl Gpu {
    /// Embeddings of queries, in order; `None` if some are on another device.
    #[cfg(feature = "cuda")]
    pub(crate) fn embeddings<'a>(&self, queries: &'a [DeviceRows]) -> selvedge::Result<Option<Vec<OnDevice<'a>>>> {
        use selvedge::{BackendError, cuda::Component};
        let rows = |rows: &'a DeviceRows| {
            let component = if rows.is_half { Component::F16 } else { Component::F32 };
            let len = rows.shape.0.saturating_mul(rows.shape.1);
            // SAFETY: the caller's array, which `rows` keeps until the search is over, has that many components there;
            // its interface names the stream that writes them, or they are written.
            #[allow(unsafe_code)]
            unsafe {
                self.cuda.embeddings_at(rows.address, len, component, rows.stream as *mut _)
            }
        };
        match queries.iter().map(rows).collect::<Result<Vec<_>, _>>() {
            Ok(rows) => Ok(Some(rows)),
            Err(BackendError::NotOfDevice { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(feature = "cuda"))]
    pub(crate) fn embeddings<'a>(&self, _: &'a [DeviceRows]) -> selvedge::Result<Option<Vec<OnDevice<'a>>>> {
        Ok(None)
    }
}

/// Answers queries on the GPU that has them, in order.
#[cfg(feature = "cuda")]
pub(crate) fn answers(
    engine: &Engine,
    snapshot: &Snapshot,
    rows: &[OnDevice<'_>],
    options: &SearchOptions,
) -> selvedge::Result<Vec<SearchOutput>> {
    let rows: Vec<_> = rows.iter().map(selvedge_backend::Embeddings::Device).collect();
    let set = snapshot.passages(options)?;
    let params = options.params(snapshot.searcher(), set.as_deref());
    let rankings = snapshot.searcher().search_embeddings(&rows, &params, set.as_deref())?;
    let output = |ranking| engine.output(snapshot, selvedge::HitQuery::default(), ranking, options);
    rankings.into_iter().map(output).collect()
}

#[cfg(not(feature = "cuda"))]
pub(crate) fn answers(
    _: &Engine,
    _: &Snapshot,
    _: &[OnDevice<'_>],
    _: &SearchOptions,
) -> selvedge::Result<Vec<SearchOutput>> {
    unreachable!("without CUDA no index is on a GPU")
}
