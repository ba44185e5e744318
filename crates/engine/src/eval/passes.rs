//! Passes over all queries: rankings in blocks, so that they can be cancelled, and the latency of one query at a time.

use super::Latency;
use crate::Result;
use crate::progress::{Progress, Stage};
use selvedge_search::{Mode, PassageSet, Search, SearchParams};
use std::time::Instant;

/// Queries of a block per thread in an approximate search. Threads wait for each other at the end of a block; with 64
/// queries each, that costs at most 1/64 of the throughput.
const BLOCK_APPROXIMATE: usize = 64;
/// Queries of a block per thread in an exhaustive search. All take the same time, so that no thread waits.
const BLOCK_EXHAUSTIVE: usize = 4;

/// Queries and the passages that they may find.
pub(super) struct Passes<'a> {
    pub(super) search: &'a dyn Search,
    /// Embeddings of each query, `(Q, D) f32`.
    pub(super) queries: &'a [&'a [f32]],
    pub(super) set: Option<&'a PassageSet>,
    pub(super) progress: &'a dyn Progress,
}

impl Passes<'_> {
    /// Returns the pids that each query finds, best first.
    pub(super) fn rankings(&self, stage: &'static str, params: &SearchParams) -> Result<Vec<Vec<u32>>> {
        let per_thread = match params.mode {
            Mode::Exact => BLOCK_EXHAUSTIVE,
            Mode::Approximate { .. } => BLOCK_APPROXIMATE,
        };
        let mut stage = self.stage(stage);
        let mut found = Vec::with_capacity(self.queries.len());
        for block in self.queries.chunks(per_thread * rayon::current_num_threads()) {
            let rankings = self.search.search_batch(block, params, self.set)?;
            found.extend(rankings.iter().map(|ranking| ranking.hits.iter().map(|hit| hit.pid).collect()));
            stage.add(block.len() as u64)?;
        }
        Ok(found)
    }

    /// Measures the time of each query by itself on the calling thread.
    pub(super) fn latency(&self, params: &SearchParams) -> Result<Latency> {
        let mut stage = self.stage("latency");
        let mut times = Vec::with_capacity(self.queries.len());
        for query in self.queries {
            let started = Instant::now();
            self.search.search(query, params, self.set)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            stage.add(1)?;
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0);
        Ok(Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99) })
    }

    fn stage(&self, name: &'static str) -> Stage<'_> {
        Stage::new(self.progress, name, "queries", Some(self.queries.len() as u64))
    }
}
