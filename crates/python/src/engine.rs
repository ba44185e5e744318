//! An open index: one generation of it, or the newest that it has followed to.

use crate::documents::{id_of, ids_of};
use crate::encoder::Encoder;
use crate::errors::{Value, exception, invalid, to_py};
use crate::gpu::{self, DeviceRows, Gpu};
use crate::query::{Queries, SearchSettings, check_dim};
use crate::results::Results;
use crate::settings::{self, device, open_options};
use crate::work::{self, Nothing, detached};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::pythonize;
use selvedge::{Document, HitQuery, RankBy, SearchOptions, SearchOutput, Snapshot};
use selvedge_index::Columns;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Number of queries of a batch that are answered between two looks for signals.
const CHUNK_QUERIES: usize = 256;

/// An open index, until it is closed.
#[pyclass(frozen, module = "selvedge_search._selvedge")]
pub(crate) struct Engine {
    open: RwLock<Option<Arc<selvedge::Engine>>>,
    /// The generation of a snapshot; `None` for the newest that the engine has followed to.
    fixed: Option<Arc<Snapshot>>,
    gpu: Option<Gpu>,
    path: PathBuf,
}

#[pymethods]
impl Engine {
    #[staticmethod]
    #[pyo3(name = "open")]
    fn open_at(
        py: Python<'_>,
        path: PathBuf,
        model: Option<String>,
        encoder: Option<PyRef<'_, Encoder>>,
        any_model: bool,
        load: &Bound<'_, PyDict>,
        device_name: &str,
    ) -> PyResult<Self> {
        let options = open_options(model, any_model, &settings::read(load)?, device(device_name)?)?;
        let encoder = encoder.map(|encoder| Arc::clone(&encoder.0));
        let (engine, gpu) = work::run(py, &None, Nothing, |_, _| {
            let (engine, gpu) = gpu::open(&path, options)?;
            encoder.map_or(Ok(()), |encoder| engine.share_encoder(&encoder))?;
            Ok((engine, gpu))
        })?;
        Ok(Self { open: RwLock::new(Some(Arc::new(engine))), fixed: None, gpu, path })
    }

    /// Forgets the index. Work that runs meanwhile ends on what it has.
    fn close(&self) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    #[getter]
    fn closed(&self) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    #[getter]
    fn path(&self) -> &Path {
        &self.path
    }

    #[getter]
    fn generation(&self) -> PyResult<u32> {
        Ok(self.current()?.1.generation())
    }

    #[getter]
    fn dim(&self) -> PyResult<usize> {
        Ok(self.current()?.1.index().dim())
    }

    #[getter]
    fn num_passages(&self) -> PyResult<u32> {
        Ok(self.current()?.1.index().num_passages())
    }

    #[getter]
    fn num_tokens(&self) -> PyResult<u64> {
        Ok(self.current()?.1.index().num_tokens())
    }

    /// Name of the model that made the index; `None` for an index of embeddings.
    #[getter]
    fn model(&self) -> PyResult<Option<String>> {
        Ok(self.current()?.1.index().encoder().map(|encoder| encoder.model.clone()))
    }

    #[getter]
    fn encoder(&self, py: Python<'_>) -> PyResult<Encoder> {
        let engine = self.engine()?;
        work::run(py, &None, Nothing, |_, _| Ok(Arc::clone(engine.shared_encoder()?))).map(Encoder)
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<u32> {
        let engine = self.engine()?;
        work::run(py, &None, Nothing, |_, _| engine.refresh())
    }

    /// The generation of this moment, which stays as it is.
    fn snapshot(&self) -> PyResult<Self> {
        let (engine, snapshot) = self.current()?;
        Ok(Self {
            open: RwLock::new(Some(engine)),
            fixed: Some(snapshot),
            gpu: self.gpu.clone(),
            path: self.path.clone(),
        })
    }

    /// Answers queries: texts, or arrays `(Q, D)`.
    fn search(
        &self,
        py: Python<'_>,
        queries: Vec<Bound<'_, PyAny>>,
        settings: &Bound<'_, PyDict>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Results>> {
        let (engine, snapshot) = self.current()?;
        let settings: SearchSettings<'_> = settings::read(settings)?;
        let options = settings.options()?;
        options.check().map_err(to_py)?;
        let is_for_gpu = options.rank_by == RankBy::MaxSim && !options.explain && options.snippet.is_none();
        if let Some(gpu) = self.gpu.as_ref().filter(|_| is_for_gpu)
            && let Some(rows) = DeviceRows::all(&queries)
        {
            check_dim(&snapshot, rows[0].dim())?;
            // Here, since the order of the work on a GPU is that of this thread's calls.
            if let Some(rows) = py.detach(|| gpu.embeddings(&rows)).map_err(to_py)? {
                let outputs = detached(py, || gpu::answers(&engine, &snapshot, &rows, &options))?;
                return Ok(outputs.into_iter().map(Results).collect());
            }
        }
        let queries = Queries::checked(&snapshot, &queries)?;
        let needs_model = matches!(queries, Queries::Texts(_)) && settings.needs_model();
        let is_short = queries.len() <= CHUNK_QUERIES && !(needs_model && engine.loaded_encoder().is_none());
        let outputs = match is_short && progress.is_none() {
            true => detached(py, || answers(&engine, &snapshot, &queries, needs_model, &options, &())),
            false => work::run(py, &progress, Nothing, |progress, _| {
                answers(&engine, &snapshot, &queries, needs_model, &options, progress)
            }),
        };
        let outputs = outputs?;
        if outputs.iter().all(|output| output.hits.is_empty()) {
            options.filter.iter().for_each(|filter| warn_of_keys(&snapshot, filter));
            crate::log::pass_on(py)?;
        }
        Ok(outputs.into_iter().map(Results).collect())
    }

    /// Reasons for the score of a passage: a dictionary of `selvedge::Explanation`.
    fn explain<'py>(
        &self,
        py: Python<'py>,
        query: Bound<'_, PyAny>,
        id: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (engine, snapshot) = self.current()?;
        let id = id_of(id)?;
        let query = Queries::checked(&snapshot, &[query])?;
        let explanation = work::run(py, &None, Nothing, |_, _| {
            let Some(pid) = snapshot.index().pid(&id)? else {
                return Err(selvedge::Error::UnknownIds { total: 1, first: vec![id.clone()] });
            };
            match &query {
                Queries::Texts(texts) => {
                    let rows = engine.encoder()?.encode_queries(texts)?.data;
                    engine.explain(&snapshot, &rows, Some(&texts[0]), pid)
                }
                Queries::Embedded(rows, _) => {
                    // Its tokens are named if the index has a model, and numbered otherwise.
                    let _ = engine.encoder();
                    engine.explain(&snapshot, &rows[0], None, pid)
                }
            }
        })?;
        Ok(pythonize(py, &explanation)?)
    }

    /// Documents of ids: id, text, metadata; an error names the ids that the index does not have.
    fn documents<'py>(&self, py: Python<'py>, ids: &Bound<'_, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let (_, snapshot) = self.current()?;
        let ids = ids_of(ids)?;
        let documents = detached(py, || {
            let index = snapshot.index();
            pids(&snapshot, &ids)?.into_iter().map(|pid| Ok(index.document(pid)?)).collect::<selvedge::Result<Vec<_>>>()
        })?;
        // Embeddings may come without texts.
        let has_text = snapshot.index().encoder().is_some();
        let document = |Document { id, text, metadata }: Document| {
            let text = Some(text).filter(|text| has_text || !text.is_empty());
            Ok(pythonize(py, &serde_json::json!({ "id": id, "text": text, "metadata": metadata }))?)
        };
        documents.into_iter().map(document).collect()
    }

    /// Embeddings `(T, D) f32` of ids, decoded from the bytes of the index.
    fn embeddings<'py>(&self, py: Python<'py>, ids: &Bound<'_, PyAny>) -> PyResult<Vec<Bound<'py, PyArray2<f32>>>> {
        let (_, snapshot) = self.current()?;
        let ids = ids_of(ids)?;
        let dim = snapshot.index().dim();
        let rows = detached(py, || {
            let rows = |pid| Ok(snapshot.searcher().reconstruct(pid)?);
            pids(&snapshot, &ids)?.into_iter().map(rows).collect::<selvedge::Result<Vec<_>>>()
        })?;
        rows.into_iter()
            .map(|rows| {
                let shape = [rows.len() / dim, dim];
                rows.into_pyarray(py).reshape(shape)
            })
            .collect()
    }

    /// All ids, in the order of the index.
    fn ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let (_, snapshot) = self.current()?;
        detached(py, || Ok(snapshot.index().ids().collect::<Result<_, _>>()?))
    }

    fn contains(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (_, snapshot) = self.current()?;
        let id = id_of(id)?;
        detached(py, || Ok(snapshot.index().pid(&id)?.is_some()))
    }

    /// Ids of the passages for which a filter is true.
    fn matching(&self, py: Python<'_>, filter: &str) -> PyResult<Vec<String>> {
        let (_, snapshot) = self.current()?;
        let filter = filter.parse::<selvedge::Filter>().map_err(|error| to_py(error.into()))?;
        let options = SearchOptions { filter: Some(Arc::new(filter)), ..SearchOptions::default() };
        detached(py, || {
            let Some(set) = snapshot.passages(&options)? else { return Ok(Vec::new()) };
            let mut documents = snapshot.index().documents().reader();
            let found: Vec<String> = set.pids().map(|pid| Ok(documents.id(pid)?)).collect::<selvedge::Result<_>>()?;
            if found.is_empty() {
                options.filter.iter().for_each(|filter| warn_of_keys(&snapshot, filter));
            }
            Ok(found)
        })
    }

    /// Describes the index, as `selvedge info --json` does.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (_, snapshot) = self.current()?;
        let info = detached(py, || {
            let generations = selvedge_index::generations_at(snapshot.index().path())?;
            let mut info = selvedge::info(snapshot.index(), &generations);
            info["columns"] = serde_json::json!(snapshot.index().columns()?);
            info["backend"] = snapshot.searcher().backend_name().into();
            Ok(info)
        })?;
        Ok(pythonize(py, &info)?)
    }
}

impl Engine {
    /// The engine, if it is open.
    pub(crate) fn engine(&self) -> PyResult<Arc<selvedge::Engine>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or_else(|| {
            let path = self.path.display().to_string();
            let message = format!("{path}: the index was closed; open it again with Index.open");
            exception("IndexClosed", &message, &[("path", Value::Text(path))])
        })
    }

    /// The engine, and the generation that answers.
    pub(crate) fn current(&self) -> PyResult<(Arc<selvedge::Engine>, Arc<Snapshot>)> {
        let engine = self.engine()?;
        let snapshot = self.fixed.clone().unwrap_or_else(|| engine.snapshot());
        Ok((engine, snapshot))
    }

    /// The engine of an index that may be changed, which a snapshot is not.
    pub(crate) fn changeable(&self) -> PyResult<Arc<selvedge::Engine>> {
        match self.fixed {
            None => self.engine(),
            Some(_) => Err(invalid("a snapshot stays as it is; change the index that it was taken of")),
        }
    }
}

/// Warns of the keys of a filter that no passage has: it may be misspelt.
fn warn_of_keys(snapshot: &Snapshot, filter: &selvedge::Filter) {
    let segments = || snapshot.index().segments().iter().map(|segment| segment.columns.as_ref());
    if segments().any(|columns| columns.is_none()) {
        return;
    }
    for (key, _) in filter.keys() {
        // The directories of the segments alone: the values of all columns are not read.
        if !segments().flatten().flat_map(Columns::infos).any(|column| column.key == key) {
            tracing::warn!("no passage has the key {key:?} of the filter");
        }
    }
}

/// Pids of ids, all of which have to be in the index.
fn pids(snapshot: &Snapshot, ids: &[String]) -> selvedge::Result<Vec<u32>> {
    let mut documents = snapshot.index().documents().reader();
    let (mut pids, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        match documents.find(id)? {
            Some(pid) => pids.push(pid),
            None => missing.push(id.clone()),
        }
    }
    if missing.is_empty() {
        return Ok(pids);
    }
    let total = missing.len();
    missing.truncate(20);
    Err(selvedge::Error::UnknownIds { total, first: missing })
}

/// Embeddings of texts as queries.
pub(crate) fn encoded(engine: &selvedge::Engine, texts: &[String]) -> selvedge::Result<selvedge::Embeddings> {
    Ok(engine.encoder()?.encode_queries(texts)?)
}

/// Answers queries in chunks, so that progress is seen.
fn answers(
    engine: &selvedge::Engine,
    snapshot: &Snapshot,
    queries: &Queries,
    needs_model: bool,
    options: &SearchOptions,
    progress: &dyn selvedge::Progress,
) -> selvedge::Result<Vec<SearchOutput>> {
    let total = queries.len();
    let mut outputs = Vec::with_capacity(total);
    while outputs.len() < total {
        let chunk = outputs.len()..total.min(outputs.len() + CHUNK_QUERIES);
        outputs.extend(match queries {
            Queries::Texts(texts) => {
                let texts = &texts[chunk];
                let encoded = needs_model.then(|| encoded(engine, texts)).transpose()?;
                let rows: Vec<&[f32]> =
                    encoded.as_ref().map_or_else(|| vec![&[][..]; texts.len()], |rows| rows.iter().collect());
                let texts = texts.iter().zip(rows);
                let all: Vec<_> = texts.map(|(text, embeddings)| HitQuery { embeddings, text: Some(text) }).collect();
                engine.search_generation(snapshot, &all, options)?
            }
            Queries::Embedded(rows, _) => {
                let rows = rows[chunk].iter();
                let all: Vec<_> = rows.map(|embeddings| HitQuery { embeddings, text: None }).collect();
                engine.search_generation(snapshot, &all, options)?
            }
        });
        let done = outputs.len() as u64;
        progress.report(selvedge::Step { stage: "search", unit: "queries", done, total: Some(total as u64) });
        if progress.is_cancelled() {
            return Err(selvedge::Error::Cancelled);
        }
    }
    Ok(outputs)
}
