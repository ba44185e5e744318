//! Parameters by measurement: the cheapest `(nprobe, ndocs, num_rescored)` that find a wanted share of the exhaustive top k,
//! on the index and the queries at hand.
//!
//! Scores of candidates are exact, so the funnel finds a passage of the exhaustive top k if and only if it is among the
//! `num_rescored` best candidates. Its rank among them, for each `nprobe` and `ndocs`, therefore gives the recall at every
//! `num_rescored` at once, and the least one that is enough is read off. Of each `nprobe` the setting with the least work is
//! kept, and those are timed against each other, query by query in turn; the one with the least median wins.

use crate::{Mode, Result, Search, SearchParams};
use rayon::prelude::*;
use std::time::Instant;

/// Cells a query token that are tried, as far as the index has them.
const NPROBES: [usize; 13] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];
/// Times that each setting answers each query; the fastest counts.
const ROUNDS: usize = 3;
/// Fewest candidates ranked by their centroids that are tried; then doubled as often as it makes sense.
const LEAST_NDOCS: usize = 64;
/// More candidates than this are tried only where `k` asks for them.
const MOST_NDOCS: usize = 16384;
/// Candidates that are ranked by their centroids in the time of one full score, about: what settings of one `nprobe`
/// are compared by.
const RANKED_FOR_ONE: usize = 4;
/// Most candidates for each result that are tried.
const MOST_FOR_ONE: usize = 64;
/// Queries that settings are tried on, at most: taken evenly from all.
const MOST_QUERIES: usize = 300;
/// A setting needs so many times less work than one of fewer cells to be worth timing.
const WORTH: f64 = 0.95;

/// A setting that was measured on an index.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// Results that it is for.
    pub k: usize,
    /// Cells opened for each query token.
    pub nprobe: usize,
    /// Candidates ranked by their centroids.
    pub ndocs: usize,
    /// Candidates scored with their residuals.
    #[serde(rename = "nfull")]
    pub num_rescored: usize,
    /// Share of the exhaustive top k that was asked for.
    pub wanted: f64,
    /// Share that it found.
    pub recall: f64,
    /// Median time of a query, one at a time, in microseconds.
    pub p50_us: f64,
    /// Queries it was measured with.
    pub queries: usize,
}

impl Tuned {
    /// As search takes it.
    pub fn params(&self) -> SearchParams {
        SearchParams {
            k: self.k,
            mode: Mode::Approximate { nprobe: self.nprobe, ndocs: self.ndocs, num_rescored: self.num_rescored },
        }
    }

    /// What it costs besides the cells, in full scores.
    fn work(&self) -> usize {
        self.num_rescored + self.ndocs / RANKED_FOR_ONE
    }
}

/// The outcome of tuning for one `k`.
#[derive(Clone, Debug, PartialEq)]
pub enum Tuning {
    /// Every setting that was timed, the fastest first; at least one.
    Found(Vec<Tuned>),
    /// No more than `k` passages are indexed, so that every search scores all of them, whatever its setting.
    SearchedWhole,
    /// No setting tried finds the share that was asked for.
    OutOfReach {
        /// The largest share that one of them finds.
        most: f64,
    },
    /// No query finds a passage.
    NothingFound,
}

/// Measures which settings find a share of the exhaustive top `k`, which is at least 1, and their time.
///
/// `queries` are embeddings `(Q, D) f32`, of which at most 300 are asked; `wanted` is a share of the exhaustive top
/// k, such as .99. `observe` hears of each setting before it is timed.
///
/// # Errors
/// If a query is not fit for the index, or the backend fails.
pub fn tune<Q: AsRef<[f32]>>(
    searcher: &dyn Search,
    queries: &[Q],
    k: usize,
    wanted: f64,
    mut observe: impl FnMut(&Tuned),
) -> Result<Tuning> {
    if k >= searcher.num_passages() {
        return Ok(Tuning::SearchedWhole);
    }
    let step = queries.len().div_ceil(MOST_QUERIES).max(1);
    let queries: Vec<&[f32]> = queries.iter().step_by(step).map(AsRef::as_ref).collect();
    let exact = searcher.search_batch(&queries, &SearchParams::exact(k), None)?;
    let exact: Vec<Vec<u32>> = exact.iter().map(|outcome| outcome.found.iter().map(|f| f.pid).collect()).collect();
    let answered = exact.iter().filter(|top| !top.is_empty()).count();
    if answered == 0 {
        return Ok(Tuning::NothingFound);
    }
    let all_ndocs = all_ndocs(k, searcher.num_passages());
    let mut tried: Vec<Tuned> = Vec::new();
    let mut most = 0f64;
    for nprobe in NPROBES {
        let ranks = queries.par_iter().zip(&exact);
        let ranks = ranks.map(|(query, top)| searcher.candidate_ranks(query, nprobe, &all_ndocs, top));
        let ranks = ranks.collect::<Result<Vec<_>>>()?;
        let settings = all_ndocs.iter().enumerate().filter_map(|(at, &ndocs)| {
            // Each found passage with its share of the recall, by the rank that it needs.
            let shares = ranks.iter().zip(&exact).flat_map(|(ranks, top)| {
                let share = 1.0 / (top.len().max(1) * answered) as f64;
                ranks[at].iter().flatten().map(move |&rank| (rank, share))
            });
            let shares: Vec<(usize, f64)> = shares.collect();
            most = most.max(shares.iter().map(|&(_, share)| share).sum());
            let (num_rescored, recall) = least_nfull(shares, wanted)?;
            let (num_rescored, queries) = (round_up(num_rescored.max(k)), queries.len());
            Some(Tuned {
                k,
                nprobe,
                ndocs: ndocs.max(num_rescored),
                num_rescored,
                wanted,
                recall,
                p50_us: 0.0,
                queries,
            })
        });
        let least = settings.min_by_key(Tuned::work);
        if let Some(least) = least
            && tried.last().is_none_or(|last| (least.work() as f64) < WORTH * last.work() as f64)
        {
            tried.push(least);
            observe(&least);
        }
        if nprobe >= searcher.num_centroids() {
            break;
        }
    }
    if tried.is_empty() {
        return Ok(Tuning::OutOfReach { most });
    }
    time(searcher, &queries, &mut tried)?;
    tried.sort_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
    Ok(Tuning::Found(tried))
}

/// Numbers of candidates to try for `k` results of `num_passages`, which are more than `k`: at least one.
fn all_ndocs(k: usize, num_passages: usize) -> Vec<usize> {
    let least = k.next_power_of_two().max(LEAST_NDOCS);
    let most = MOST_NDOCS.max(2 * least);
    let doubled = std::iter::successors(Some(2 * least), |ndocs| ndocs.checked_mul(2));
    let worth = |&ndocs: &usize| ndocs <= most && ndocs / 2 < num_passages.min(MOST_FOR_ONE.saturating_mul(k));
    std::iter::once(least).chain(doubled.take_while(worth)).collect()
}

/// The fewest candidates whose shares add up to `wanted`, and what they add up to.
fn least_nfull(mut shares: Vec<(usize, f64)>, wanted: f64) -> Option<(usize, f64)> {
    shares.sort_unstable_by_key(|&(rank, _)| rank);
    let mut sum = 0.0;
    let mut enough = None;
    for (rank, share) in shares {
        if enough.is_some_and(|num_rescored| rank >= num_rescored) {
            break;
        }
        sum += share;
        // Shares are rounded: a wanted 1 is one that no passage is missing from.
        if enough.is_none() && sum >= wanted - 1e-9 {
            enough = Some(rank + 1);
        }
    }
    enough.map(|num_rescored| (num_rescored, sum))
}

/// To eight or a sixteenth of a power of two, so that a setting does not hang on one passage of one query.
fn round_up(num_rescored: usize) -> usize {
    num_rescored.next_multiple_of((num_rescored.next_power_of_two() / 16).max(8))
}

/// Measures the median time of each setting.
fn time(searcher: &dyn Search, queries: &[&[f32]], tried: &mut [Tuned]) -> Result<()> {
    let mut least = vec![vec![f64::INFINITY; queries.len()]; tried.len()];
    for _ in 0..ROUNDS {
        for (q, query) in queries.iter().enumerate() {
            for (setting, least) in tried.iter().zip(&mut least) {
                let started = Instant::now();
                searcher.search(query, &setting.params(), None)?;
                least[q] = least[q].min(started.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    for (setting, mut times) in tried.iter_mut().zip(least) {
        times.sort_by(f64::total_cmp);
        setting.p50_us = times[times.len() / 2];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_nfull_is_read_off_ranks() {
        let shares = vec![(5, 0.25), (0, 0.25), (9, 0.25), (5, 0.25)];
        assert_eq!(least_nfull(shares.clone(), 0.2), Some((1, 0.25)));
        assert_eq!(least_nfull(shares.clone(), 0.5), Some((6, 0.75)));
        assert_eq!(least_nfull(shares.clone(), 1.0), Some((10, 1.0)));
        assert_eq!(least_nfull(shares[..3].to_vec(), 1.0), None);
    }

    #[test]
    fn every_k_has_a_number_of_candidates_to_try() {
        assert_eq!(all_ndocs(10, 1_000_000), [64, 128, 256, 512, 1024]);
        assert_eq!(all_ndocs(100, 1_000_000), [128, 256, 512, 1024, 2048, 4096, 8192]);
        assert_eq!(all_ndocs(100, 1000), [128, 256, 512, 1024]);
        assert_eq!(all_ndocs(1000, 1_000_000), [1024, 2048, 4096, 8192, 16384]);
        assert_eq!(all_ndocs(20_000, 1_000_000), [32768, 65536]);
        assert_eq!(all_ndocs(100, 101), [128]);
        assert_eq!(all_ndocs(10, 20), [64]);
    }

    #[test]
    fn nfull_is_rounded_up_a_little() {
        assert_eq!([1, 16, 17, 100, 129, 1000, 1025].map(round_up), [8, 16, 24, 104, 144, 1024, 1152]);
    }
}
