//! The fastest search parameters for a recall, measured on the queries given and stored in the manifest.

use crate::progress::Stage;
use crate::{Engine, Error, Progress, Queries, Result};
use selvedge_search::{Tuned, Tuning, tune as tune_for};

/// Options of [`Engine::tune`].
#[derive(Clone, Debug)]
pub struct TuneOptions {
    /// Share of the exhaustive top k to find, above 0 and at most 1.
    pub recall: f64,
    /// Numbers of results to tune for.
    pub k: Vec<usize>,
    /// Whether the index is left as it is.
    pub dry_run: bool,
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self { recall: 0.99, k: vec![10, 100], dry_run: false }
    }
}

/// Settings that were measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TuneReport {
    /// The fastest setting for each `k`: stored, unless [`TuneOptions::dry_run`].
    pub best: Vec<Tuned>,
    /// Every setting that was timed for each `k`, fastest first.
    pub tried: Vec<Vec<Tuned>>,
    /// Each `k` that no more passages are indexed than: every search scores all of them, whatever its setting.
    pub whole: Vec<usize>,
    /// Each `k` for which no setting reaches the recall, with the largest share that one finds.
    pub missed: Vec<(usize, f64)>,
}

pub(crate) fn tune(
    engine: &Engine,
    queries: &Queries,
    options: &TuneOptions,
    progress: &dyn Progress,
) -> Result<TuneReport> {
    let mut report = TuneReport::default();
    for &k in &options.k {
        let mut stage = Stage::new(progress, "tune", "settings", None);
        let mut cancelled = Ok(());
        let tried = tune_for(engine.searcher(), &queries.embeddings, k, options.recall, |_| cancelled = stage.add(1))?;
        cancelled?;
        stage.finish();
        match tried {
            Tuning::Found(tried) => {
                report.best.push(tried[0]);
                report.tried.push(tried);
            }
            Tuning::SearchedWhole => report.whole.push(k),
            Tuning::OutOfReach { most } => report.missed.push((k, most)),
            Tuning::NothingFound => return Err(Error::NothingFound),
        }
    }
    if !options.dry_run && !report.best.is_empty() {
        let search = serde_json::to_value(&report.best).expect("settings are plain numbers");
        selvedge_index::write_search(engine.index().path(), search)?;
    }
    Ok(report)
}
