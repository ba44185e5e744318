//! Parameters by measurement: the cheapest `(nprobe, ndocs)` that find a wanted share of the exhaustive top k, on the
//! index and the queries at hand.
//!
//! Scores of candidates are exact, so the funnel finds a passage of the exhaustive top k if and only if it is among the
//! `ndocs` best candidates. Its rank among all candidates, for each `nprobe`, therefore gives the recall at every
//! `ndocs` at once, and the least one that is enough is read off. The settings found so, one for each `nprobe`, are then
//! timed against each other, query by query in turn, and the one with the least median wins.

use crate::{Mode, Params, Result, Searcher};
use rayon::prelude::*;
use selvedge_backend::Backend;
use std::time::Instant;

/// Cells a query token that are tried, as far as the index has them.
const NPROBES: [usize; 17] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512];
/// Times that each setting answers each query; the fastest counts.
const ROUNDS: usize = 3;
/// A setting needs so many times fewer candidates than one of fewer cells to be worth timing.
const WORTH: f64 = 0.95;

/// A setting that was measured on an index.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// Results that it is for.
    pub k: usize,
    /// Cells opened for each query token.
    pub nprobe: usize,
    /// Candidates scored with their residuals.
    pub ndocs: usize,
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
    pub fn params(&self) -> Params {
        Params { k: self.k, mode: Mode::Funnel { nprobe: self.nprobe, ndocs: self.ndocs } }
    }
}

/// Every setting that was timed for `k`, the fastest first; none where no query has a result.
///
/// `queries` are embeddings `(Q, D) f32`; `wanted` is a share of the exhaustive top k, such as .99. `observe` hears of
/// each setting before it is timed.
pub fn tune<B: Backend, Q: AsRef<[f32]> + Sync>(
    searcher: &Searcher<B>,
    queries: &[Q],
    k: usize,
    wanted: f64,
    mut observe: impl FnMut(&Tuned),
) -> Result<Vec<Tuned>> {
    let exact = searcher.search_batch(queries, &Params::exact(k), None)?;
    let exact: Vec<Vec<u32>> = exact.iter().map(|outcome| outcome.found.iter().map(|f| f.pid).collect()).collect();
    let answered = exact.iter().filter(|top| !top.is_empty()).count();
    let mut tried: Vec<Tuned> = Vec::new();
    if answered == 0 {
        return Ok(tried);
    }
    for nprobe in NPROBES {
        // What each found passage adds to the recall, by the rank that it needs.
        let shares = queries.par_iter().zip(&exact).map(|(query, top)| -> Result<Vec<(usize, f64)>> {
            let share = 1.0 / (top.len().max(1) * answered) as f64;
            let ranks = searcher.candidate_ranks(query.as_ref(), nprobe, top)?;
            Ok(ranks.into_iter().flatten().map(|rank| (rank, share)).collect())
        });
        let shares = shares.collect::<Result<Vec<_>>>()?.concat();
        if let Some((ndocs, recall)) = least_ndocs(shares, wanted) {
            let ndocs = round_up(ndocs.max(k));
            if tried.last().is_none_or(|last| (ndocs as f64) < WORTH * last.ndocs as f64) {
                let queries = queries.len();
                tried.push(Tuned { k, nprobe, ndocs, wanted, recall, p50_us: 0.0, queries });
                observe(&tried[tried.len() - 1]);
            }
        }
        if nprobe >= searcher.num_centroids() {
            break;
        }
    }
    time(searcher, queries, &mut tried)?;
    tried.sort_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
    Ok(tried)
}

/// The fewest candidates whose shares add up to `wanted`, and what they add up to.
fn least_ndocs(mut shares: Vec<(usize, f64)>, wanted: f64) -> Option<(usize, f64)> {
    shares.sort_unstable_by_key(|&(rank, _)| rank);
    let mut sum = 0.0;
    let mut enough = None;
    for (rank, share) in shares {
        if enough.is_some_and(|ndocs| rank >= ndocs) {
            break;
        }
        sum += share;
        // Shares are rounded: a wanted 1 is one that no passage is missing from.
        if enough.is_none() && sum >= wanted - 1e-9 {
            enough = Some(rank + 1);
        }
    }
    enough.map(|ndocs| (ndocs, sum))
}

/// To two significant binary digits or sixteen, so that a setting does not hang on one passage of one query.
fn round_up(ndocs: usize) -> usize {
    ndocs.next_multiple_of((ndocs.next_power_of_two() / 16).max(16))
}

/// Measures the median time of each setting.
fn time<B: Backend, Q: AsRef<[f32]>>(searcher: &Searcher<B>, queries: &[Q], tried: &mut [Tuned]) -> Result<()> {
    let mut least = vec![vec![f64::INFINITY; queries.len()]; tried.len()];
    for _ in 0..ROUNDS {
        for (q, query) in queries.iter().enumerate() {
            for (setting, least) in tried.iter().zip(&mut least) {
                let started = Instant::now();
                searcher.search(query.as_ref(), &setting.params(), None)?;
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
    fn the_least_ndocs_is_read_off_ranks() {
        let shares = vec![(5, 0.25), (0, 0.25), (9, 0.25), (5, 0.25)];
        assert_eq!(least_ndocs(shares.clone(), 0.2), Some((1, 0.25)));
        assert_eq!(least_ndocs(shares.clone(), 0.5), Some((6, 0.75)));
        assert_eq!(least_ndocs(shares.clone(), 1.0), Some((10, 1.0)));
        assert_eq!(least_ndocs(shares[..3].to_vec(), 1.0), None);
    }

    #[test]
    fn ndocs_are_rounded_up_a_little() {
        assert_eq!([1, 16, 17, 100, 129, 1000, 1025].map(round_up), [16, 16, 32, 112, 144, 1024, 1152]);
    }
}
