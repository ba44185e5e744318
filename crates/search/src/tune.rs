//! Tuning: the fastest `(nprobe, ndocs, num_rescored)` with a target recall, measured on an index with given queries.
//!
//! Recall is the share of the exhaustive top k that is found. Scores of candidates are exact, so an approximate search
//! finds a passage of the exhaustive top k if and only if it is among the `num_rescored` best candidates. For
//! each `nprobe` and `ndocs`, the ranks of these passages among the candidates therefore give the recall at
//! every `num_rescored` at once, and with it the least `num_rescored` that reaches the target. For each
//! `nprobe` the setting with the least estimated work is kept. These settings are timed, query by query in
//! turn; the one with the least median time is the fastest.

use crate::{Mode, PassageSet, Result, Search, SearchParams};
use rayon::prelude::*;
use selvedge_codec::{Progress, Step};
use std::time::Instant;

/// Values of `nprobe` that are tried, up to the first one at or above K.
const NPROBES: [usize; 13] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];
/// Number of times that each setting answers each query; the fastest time counts.
const ROUNDS: usize = 3;
/// Smallest value of `ndocs` that is tried, unless `k` is larger; it is then doubled.
const LEAST_NDOCS: usize = 64;
/// Largest value of `ndocs` that is tried; for `k` above 8,192 it is twice the smallest value.
const MAX_NDOCS: usize = 16384;
/// Number of approximate scores that take about as long as one full score; used to estimate the work of a
/// setting.
const APPROX_PER_SCORE: usize = 4;
/// Multiple of `k` at which the doubling of `ndocs` ends.
const MAX_PER_RESULT: usize = 64;
/// Largest number of queries that settings are tried on, taken evenly from all.
const MAX_QUERIES: usize = 300;
/// Number of queries of one exhaustive batch; cancellation is checked after each batch.
const EXHAUSTIVE_QUERIES: usize = 16;
/// Largest estimated work of a setting, as a share of the work of the setting kept before it. A setting that saves less
/// is dropped, since it probes more cells.
const MAX_WORK_SHARE: f64 = 0.95;

/// Search parameters that were measured on an index.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// Number of results, `k`.
    pub k: usize,
    /// Cells probed per query token.
    pub nprobe: usize,
    /// Candidates that get an approximate score from all their centroids.
    pub ndocs: usize,
    /// Candidates scored with their residuals.
    #[serde(rename = "nfull")]
    pub num_rescored: usize,
    /// Target recall: share of the exhaustive top k.
    #[serde(rename = "wanted")]
    pub target: f64,
    /// Measured recall.
    pub recall: f64,
    /// Median time of a query, one at a time, in microseconds.
    pub p50_us: f64,
    /// Number of queries of the measurement.
    pub queries: usize,
}

impl Tuned {
    /// Returns the parameters for a search.
    pub fn params(&self) -> SearchParams {
        SearchParams {
            k: self.k,
            mode: Mode::Approximate { nprobe: self.nprobe, ndocs: self.ndocs, num_rescored: self.num_rescored },
        }
    }

    /// Estimated work after the candidates stage, in full scores.
    fn work(&self) -> usize {
        self.num_rescored + self.ndocs / APPROX_PER_SCORE
    }
}

/// Outcome of tuning for one `k`.
#[derive(Clone, Debug, PartialEq)]
pub enum Tuning {
    /// All settings that were timed, fastest first; at least one.
    Found(Vec<Tuned>),
    /// The index has at most `k` passages, so that every search scores all of them, whatever its parameters.
    SearchedWhole,
    /// No setting tried reaches the target recall.
    OutOfReach {
        /// Largest recall of a setting tried.
        best_recall: f64,
    },
    /// No query finds any passage.
    NothingFound,
    /// The tuning was stopped by [`Progress::is_cancelled`], without a result.
    Cancelled,
}

/// Finds settings that reach a recall on an index, and measures their time.
///
/// `target` is the recall to reach: the share of the exhaustive top `k` that is found, such as 0.99. `queries` are
/// embeddings `(Q, D) f32`; at most 300 of them, taken evenly, are used. `k` is at least 1. All searches are within
/// `set`, if there is one. `progress` can cancel after every 16 exhaustive searches, after each `nprobe`, and after
/// each query of each timing round.
///
/// # Errors
/// The errors of [`Search::search_batch`].
pub fn tune<Q: AsRef<[f32]>>(
    searcher: &dyn Search,
    queries: &[Q],
    k: usize,
    target: f64,
    set: Option<&PassageSet>,
    progress: &dyn Progress,
) -> Result<Tuning> {
    let num_passages = set.map_or(searcher.num_passages(), PassageSet::len);
    if k >= num_passages {
        return Ok(Tuning::SearchedWhole);
    }
    let step = queries.len().div_ceil(MAX_QUERIES).max(1);
    let queries: Vec<&[f32]> = queries.iter().step_by(step).map(AsRef::as_ref).collect();
    let Some(exact) = exhaustive(searcher, &queries, k, set, progress)? else { return Ok(Tuning::Cancelled) };
    let answered = exact.iter().filter(|top| !top.is_empty()).count();
    if answered == 0 {
        return Ok(Tuning::NothingFound);
    }
    let all_ndocs = all_ndocs(k, num_passages);
    let mut tried: Vec<Tuned> = Vec::new();
    let mut best_recall = 0f64;
    for (number, nprobe) in (1..).zip(NPROBES) {
        let ranks = queries.par_iter().zip(&exact);
        let ranks = ranks.map(|(query, top)| searcher.candidate_ranks(query, nprobe, &all_ndocs, top, set));
        let ranks = ranks.collect::<Result<Vec<_>>>()?;
        let settings = all_ndocs.iter().enumerate().filter_map(|(at, &ndocs)| {
            // Rank of each passage of the exhaustive top k, with its share of the recall.
            let shares = ranks.iter().zip(&exact).flat_map(|(ranks, top)| {
                let share = 1.0 / (top.len().max(1) * answered) as f64;
                ranks[at].iter().flatten().map(move |&rank| (rank, share))
            });
            let shares: Vec<(usize, f64)> = shares.collect();
            best_recall = best_recall.max(rounded(shares.iter().map(|&(_, share)| share).sum()));
            let (num_rescored, recall) = least_num_rescored(shares, target)?;
            let (num_rescored, queries) = (round_up(num_rescored.max(k)), queries.len());
            Some(Tuned {
                k,
                nprobe,
                ndocs: ndocs.max(num_rescored),
                num_rescored,
                target,
                recall,
                p50_us: 0.0,
                queries,
            })
        });
        let least = settings.min_by_key(Tuned::work);
        if let Some(least) = least
            && tried.last().is_none_or(|last| (least.work() as f64) < MAX_WORK_SHARE * last.work() as f64)
        {
            tried.push(least);
        }
        let is_last = nprobe >= searcher.num_centroids() || number == NPROBES.len() as u64;
        let total = Some(if is_last { number } else { NPROBES.len() as u64 });
        if is_stopped(progress, Step { stage: "choose settings", unit: "nprobe", done: number, total }) {
            return Ok(Tuning::Cancelled);
        }
        if is_last {
            break;
        }
    }
    if tried.is_empty() {
        return Ok(Tuning::OutOfReach { best_recall });
    }
    if !time(searcher, &queries, &mut tried, set, progress)? {
        return Ok(Tuning::Cancelled);
    }
    tried.sort_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
    Ok(Tuning::Found(tried))
}

/// Reports a step; returns whether to stop after it.
fn is_stopped(progress: &dyn Progress, step: Step) -> bool {
    progress.report(step);
    progress.is_cancelled()
}

/// The exhaustive top `k` of each query; `None` if `progress` asked to stop.
fn exhaustive(
    searcher: &dyn Search,
    queries: &[&[f32]],
    k: usize,
    set: Option<&PassageSet>,
    progress: &dyn Progress,
) -> Result<Option<Vec<Vec<u32>>>> {
    let mut found: Vec<Vec<u32>> = Vec::with_capacity(queries.len());
    for block in queries.chunks(EXHAUSTIVE_QUERIES) {
        let rankings = searcher.search_batch(block, &SearchParams::exact(k), set)?;
        found.extend(rankings.iter().map(|ranking| ranking.hits.iter().map(|hit| hit.pid).collect()));
        let (done, total) = (found.len() as u64, Some(queries.len() as u64));
        if is_stopped(progress, Step { stage: "exhaustive search", unit: "queries", done, total }) {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// Values of `ndocs` to try for `k` results of `num_passages` (more than `k`); at least one.
fn all_ndocs(k: usize, num_passages: usize) -> Vec<usize> {
    let least = k.next_power_of_two().max(LEAST_NDOCS);
    let most = MAX_NDOCS.max(2 * least);
    let doubled = std::iter::successors(Some(2 * least), |ndocs| ndocs.checked_mul(2));
    let worth = |&ndocs: &usize| ndocs <= most && ndocs / 2 < num_passages.min(MAX_PER_RESULT.saturating_mul(k));
    std::iter::once(least).chain(doubled.take_while(worth)).collect()
}

/// Least `num_rescored` whose recall is at least `target`, and that recall. `shares` are ranks, each with its share of
/// the recall.
fn least_num_rescored(mut shares: Vec<(usize, f64)>, target: f64) -> Option<(usize, f64)> {
    shares.sort_unstable_by_key(|&(rank, _)| rank);
    let mut sum = 0.0;
    let mut enough = None;
    for (rank, share) in shares {
        if enough.is_some_and(|num_rescored| rank >= num_rescored) {
            break;
        }
        sum += share;
        // The sum of all shares may be just below 1 by rounding.
        if enough.is_none() && sum >= target - 1e-9 {
            enough = Some(rank + 1);
        }
    }
    enough.map(|num_rescored| (num_rescored, rounded(sum)))
}

/// Rounds a sum of shares to nine digits, so that the sum of all shares is 1.
fn rounded(recall: f64) -> f64 {
    (recall * 1e9).round() / 1e9
}

/// Rounds up to a multiple of 8 or of a sixteenth of the next power of two, so that a setting does not depend on one
/// passage of one query.
fn round_up(num_rescored: usize) -> usize {
    num_rescored.next_multiple_of((num_rescored.next_power_of_two() / 16).max(8))
}

/// Measures the median time of each setting; false if `progress` asked to stop.
fn time(
    searcher: &dyn Search,
    queries: &[&[f32]],
    tried: &mut [Tuned],
    set: Option<&PassageSet>,
    progress: &dyn Progress,
) -> Result<bool> {
    let mut least = vec![vec![f64::INFINITY; queries.len()]; tried.len()];
    let total = Some((ROUNDS * queries.len()) as u64);
    for round in 0..ROUNDS {
        for (q, query) in queries.iter().enumerate() {
            for (setting, least) in tried.iter().zip(&mut least) {
                let started = Instant::now();
                searcher.search(query, &setting.params(), set)?;
                least[q] = least[q].min(started.elapsed().as_secs_f64() * 1e6);
            }
            let done = (round * queries.len() + q + 1) as u64;
            if is_stopped(progress, Step { stage: "time settings", unit: "queries", done, total }) {
                return Ok(false);
            }
        }
    }
    for (setting, mut times) in tried.iter_mut().zip(least) {
        times.sort_by(f64::total_cmp);
        setting.p50_us = times[times.len() / 2];
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_give_the_least_num_rescored() {
        let shares = vec![(5, 0.25), (0, 0.25), (9, 0.25), (5, 0.25)];
        assert_eq!(least_num_rescored(shares.clone(), 0.2), Some((1, 0.25)));
        assert_eq!(least_num_rescored(shares.clone(), 0.5), Some((6, 0.75)));
        assert_eq!(least_num_rescored(shares.clone(), 1.0), Some((10, 1.0)));
        assert_eq!(least_num_rescored(shares[..3].to_vec(), 1.0), None);
        // A sum of ten shares of 0.1 is 0.9999999999999999.
        let tenths = (0..10).map(|rank| (rank, 0.1)).collect();
        assert_eq!(least_num_rescored(tenths, 1.0), Some((10, 1.0)));
    }

    #[test]
    fn every_k_has_values_of_ndocs_to_try() {
        assert_eq!(all_ndocs(10, 1_000_000), [64, 128, 256, 512, 1024]);
        assert_eq!(all_ndocs(100, 1_000_000), [128, 256, 512, 1024, 2048, 4096, 8192]);
        assert_eq!(all_ndocs(100, 1000), [128, 256, 512, 1024]);
        assert_eq!(all_ndocs(1000, 1_000_000), [1024, 2048, 4096, 8192, 16384]);
        assert_eq!(all_ndocs(20_000, 1_000_000), [32768, 65536]);
        assert_eq!(all_ndocs(100, 101), [128]);
        assert_eq!(all_ndocs(10, 20), [64]);
    }

    #[test]
    fn num_rescored_is_rounded_up() {
        assert_eq!([1, 16, 17, 100, 129, 1000, 1025].map(round_up), [8, 16, 24, 104, 144, 1024, 1152]);
    }
}
