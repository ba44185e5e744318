//! The fastest search parameters for a recall, measured on the queries given and stored in the manifest.
//!
//! **In:** an open index, a few hundred queries that resemble later ones, a recall and the numbers of
//! results `k`. **Out:** for each `k` the fastest setting that reaches the recall. Stored settings of other
//! `k` are kept.

use crate::{Engine, Error, Progress, Queries, Result};
use selvedge_search::{Filter, Tuned, Tuning, tune as tune_for};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Options of [`Engine::tune`].
#[derive(Clone, Debug)]
pub struct TuneOptions {
    /// Share of the exhaustive top k to find, above 0 and at most 1.
    pub recall: f64,
    /// Numbers of results to tune for, each at least 1 and given once.
    pub k: Vec<usize>,
    /// Condition on the metadata of the passages that searches may find. The settings then suit such searches alone,
    /// and are not stored.
    pub filter: Option<Arc<Filter>>,
    /// Whether the settings are only measured, and not stored in the index.
    pub dry_run: bool,
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self { recall: 0.99, k: vec![10, 100], filter: None, dry_run: false }
    }
}

impl TuneOptions {
    /// Checks that every value is in range.
    pub(crate) fn check(&self) -> Result<()> {
        if !(self.recall > 0.0 && self.recall <= 1.0) {
            return Err(Error::option("recall", self.recall, "expected above 0 and at most 1"));
        }
        if self.k.is_empty() {
            return Err(Error::option("k", "empty", "expected at least one number of results"));
        }
        let mut seen = HashSet::new();
        for k in &self.k {
            if *k == 0 {
                return Err(Error::option("k", k, "expected at least 1"));
            }
            if !seen.insert(k) {
                return Err(Error::option("k", k, "expected each number of results once"));
            }
        }
        Ok(())
    }
}

/// Settings measured by [`Engine::tune`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TuneReport {
    /// Fastest setting for each `k`, stored in the index unless [`TuneOptions::dry_run`] or with a filter.
    pub best: Vec<Tuned>,
    /// Settings that were timed for each `k` of [`TuneReport::best`], fastest first.
    pub tried: Vec<Vec<Tuned>>,
    /// Each `k` that is at least the number of passages: a search for that many results scores every passage,
    /// whatever its setting.
    pub exhaustive: Vec<usize>,
    /// Each `k` for which no setting reaches the recall, with the largest recall of a setting tried.
    pub unreached: Vec<(usize, f64)>,
}

/// Measures and stores settings: see [`Engine::tune`].
pub(crate) fn tune(
    engine: &Engine,
    queries: &Queries,
    options: &TuneOptions,
    progress: &dyn Progress,
) -> Result<TuneReport> {
    options.check()?;
    let snapshot = engine.snapshot();
    let is_stored = !options.dry_run && options.filter.is_none();
    if is_stored {
        selvedge_index::check_writable(snapshot.index().path())?;
    }
    let mut report = TuneReport::default();
    let set = options.filter.as_ref().map(|filter| snapshot.searcher().filtered(filter)).transpose()?;
    for &k in &options.k {
        match tune_for(snapshot.searcher(), &queries.embeddings, k, options.recall, set.as_deref(), progress)? {
            Tuning::Found(tried) => {
                report.best.push(tried[0]);
                report.tried.push(tried);
            }
            Tuning::SearchedWhole => report.exhaustive.push(k),
            Tuning::OutOfReach { best_recall } => report.unreached.push((k, best_recall)),
            Tuning::NothingFound => return Err(Error::NothingFound),
            Tuning::Cancelled => return Err(Error::Cancelled),
        }
    }
    if is_stored {
        store(engine, &report.best)?;
    }
    Ok(report)
}

/// Stores settings: see [`Engine::store_tuned`].
pub(crate) fn store(engine: &Engine, best: &[Tuned]) -> Result<()> {
    if !best.is_empty() {
        let snapshot = engine.snapshot();
        selvedge_index::write_search(snapshot.index().path(), |stored| merged(stored, best))?;
    }
    Ok(())
}

/// Returns the stored settings in order of `k`, with `best` in place of settings of the same `k`.
fn merged(stored: Option<&Value>, best: &[Tuned]) -> Value {
    // Settings that this version cannot read are not used by a search either.
    let stored: Vec<Tuned> = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok()).unwrap_or_default();
    let is_kept = |stored: &Tuned| best.iter().all(|best| best.k != stored.k);
    let mut all: Vec<Tuned> = stored.into_iter().filter(is_kept).chain(best.iter().copied()).collect();
    all.sort_by_key(|tuned| tuned.k);
    serde_json::to_value(&all).expect("settings are plain numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuned(k: usize, nprobe: usize) -> Tuned {
        Tuned { k, nprobe, ndocs: 64, num_rescored: 16, target: 0.9, recall: 0.95, p50_us: 1.0, queries: 5 }
    }

    #[test]
    fn stored_settings_of_other_numbers_of_results_are_kept() {
        let first = merged(None, &[tuned(100, 8), tuned(10, 4)]);
        let second = merged(Some(&first), &[tuned(10, 6), tuned(1000, 12)]);
        let expected = [tuned(10, 6), tuned(100, 8), tuned(1000, 12)];
        assert_eq!(serde_json::from_value::<Vec<Tuned>>(second).unwrap(), expected);
        let unreadable = serde_json::json!({"k": "of a later version"});
        assert_eq!(merged(Some(&unreadable), &[tuned(10, 4)]), serde_json::to_value([tuned(10, 4)]).unwrap());
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let check = |recall, k: &[usize]| {
            TuneOptions { recall, k: k.to_vec(), dry_run: true, ..TuneOptions::default() }.check()
        };
        assert!(check(1.0, &[1, 2]).is_ok());
        for (recall, k, option) in [
            (0.0, &[1][..], "recall"),
            (-0.5, &[1], "recall"),
            (1.01, &[1], "recall"),
            (f64::NAN, &[1], "recall"),
            (0.9, &[], "k"),
            (0.9, &[0], "k"),
            (0.9, &[5, 10, 5], "k"),
        ] {
            let error = check(recall, k).unwrap_err();
            assert!(matches!(error, Error::BadOption { option: found, .. } if found == option), "{error}");
        }
    }
}
