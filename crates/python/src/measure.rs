//! Quality and speed of an index, and parameters for a recall.

use crate::engine::Engine;
use crate::errors::invalid;
use crate::query::{Queries, SearchSettings};
use crate::settings;
use crate::work::{self, Nothing};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::pythonize;
use selvedge::eval::Compared;
use selvedge::queries::QuerySource;
use selvedge::{EvalOptions, Qrels, TuneOptions, qrels::Judgment};
use std::path::PathBuf;

/// Queries with their ids, as the engine measures them.
fn queries(engine: &selvedge::Engine, ids: Vec<String>, given: Queries) -> selvedge::Result<selvedge::Queries> {
    let (embeddings, texts) = match given {
        Queries::Texts(texts) => {
            let rows = engine.encoder()?.encode_queries(&texts)?;
            (rows.iter().map(<[f32]>::to_vec).collect(), Some(texts))
        }
        Queries::Embedded(rows, _) => (rows, None),
    };
    Ok(selvedge::Queries { ids, embeddings, texts, path: PathBuf::new(), had_header: false })
}

#[pymethods]
impl Engine {
    /// Measures the quality of searches against judgments `(query, passage, grade)`, given or in a file.
    #[allow(clippy::too_many_arguments)]
    fn eval<'py>(
        &self,
        py: Python<'py>,
        ids: Vec<String>,
        given: Vec<Bound<'py, PyAny>>,
        judgments: Option<Vec<(String, String, i32)>>,
        qrels: Option<PathBuf>,
        settings: &Bound<'py, PyDict>,
        dense: bool,
        compare: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine()?;
        let given = Queries::checked(&engine.snapshot(), &given)?;
        let mut settings: SearchSettings<'_> = settings::read(settings)?;
        let compare: Vec<_> = compare.iter().map(|name| compared(name)).collect::<PyResult<_>>()?;
        if settings.alpha.is_some() && !compare.contains(&Compared::Hybrid) {
            return Err(invalid("alpha goes with compare=[\"hybrid\"]"));
        }
        let fusion = settings.fusion();
        settings.alpha = None;
        let options = EvalOptions { search: settings.options()?, dense, compare, fusion, ..EvalOptions::default() };
        let judgment = |(query, passage, grade)| Judgment { query, passage, grade };
        let collected: Option<Qrels> = judgments.map(|all| all.into_iter().map(judgment).collect());
        let report = work::run(py, &progress, Nothing, |progress, _| {
            let qrels = match (collected, qrels) {
                (Some(collected), _) => collected,
                (None, Some(path)) => Qrels::read(&path)?,
                (None, None) => Qrels::default(),
            };
            engine.eval(&queries(&engine, ids, given)?, &qrels, &options, progress)
        })?;
        Ok(pythonize(py, &report)?)
    }

    /// Finds the fastest parameters for a recall, and stores them unless `dry_run`. Without queries it makes some of
    /// the passages.
    #[allow(clippy::too_many_arguments)]
    fn tune<'py>(
        &self,
        py: Python<'py>,
        given: Option<Vec<Bound<'py, PyAny>>>,
        k: Vec<usize>,
        recall: f64,
        filter: Option<&str>,
        dry_run: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine()?;
        let given = given.map(|given| Queries::checked(&engine.snapshot(), &given)).transpose()?;
        let filter = filter.map(str::parse::<selvedge::Filter>).transpose();
        let filter = filter.map_err(|error| crate::errors::to_py(error.into()))?.map(std::sync::Arc::new);
        if given.as_ref().is_some_and(|given| given.len() == 0) {
            return Err(invalid("no queries to tune with"));
        }
        let is_stored = !dry_run && filter.is_none();
        let options = TuneOptions { recall, k, filter, dry_run: true };
        let report = work::run(py, &progress, Nothing, |progress, _| {
            let given = match given {
                None => engine.queries(&QuerySource::passages())?,
                Some(given) => queries(&engine, (0..given.len()).map(|number| number.to_string()).collect(), given)?,
            };
            let report = engine.tune(&given, &options, progress)?;
            if is_stored {
                // A writer is an error, as for other changes, rather than waited for.
                selvedge_index::check_unlocked(engine.snapshot().index().path())?;
                engine.store_tuned(&report.best)?;
                engine.refresh()?;
            }
            Ok(report)
        })?;
        let selvedge::TuneReport { best, tried, exhaustive, unreached } = report;
        let report = serde_json::json!({
            "best": best, "tried": tried, "exhaustive": exhaustive, "unreached": unreached,
        });
        Ok(pythonize(py, &report)?)
    }
}

/// Ranking by its name.
fn compared(name: &str) -> PyResult<Compared> {
    Ok(match name {
        "dense" => Compared::Dense,
        "lexical" => Compared::Lexical,
        "maxsim" => Compared::MaxSim,
        "hybrid" => Compared::Hybrid,
        other => {
            let expected = "\"dense\", \"lexical\", \"maxsim\" or \"hybrid\"";
            return Err(invalid(format!("compare has {other:?}; expected {expected}")));
        }
    })
}
