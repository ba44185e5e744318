//! The fastest search parameters for a recall, measured on the queries given and stored in the manifest.

use crate::progress::Stage;
use crate::{Engine, Error, Progress, Queries, Result};
use selvedge_search::{Tuned, tune as tune_for};

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
        let Some(&fastest) = tried.first() else { return Err(Error::NothingTuned { k, recall: options.recall }) };
        report.best.push(fastest);
        report.tried.push(tried);
    }
    if !options.dry_run {
        let search = serde_json::to_value(&report.best).expect("settings are plain numbers");
        selvedge_index::write_search(engine.index().path(), search)?;
    }
    Ok(report)
}
