//! Approximate search: the stages from the centroid table to the best hits of each segment.

use crate::candidates::{self, Candidate};
use crate::ranking::Clock;
use crate::{Mode, Result, Searcher, StageTimes, Subset, approx, query, score};
use selvedge_backend::{Backend, Pid, Probed, RawHit};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Parameters of an approximate search, each in its range.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    k: usize,
    nprobe: usize,
    ndocs: usize,
    /// Candidates scored with their residuals.
    pub(crate) num_rescored: usize,
}

impl Depth {
    /// Brings the parameters of an approximate search into their ranges; `None` for an exhaustive search.
    pub(crate) fn new(mode: Mode, k: usize) -> Option<Self> {
        let Mode::Approximate { nprobe, ndocs, num_rescored } = mode else { return None };
        let num_rescored = num_rescored.max(k);
        Some(Self { k, nprobe: nprobe.max(1), ndocs: ndocs.max(num_rescored), num_rescored })
    }
}

impl<B: Backend> Searcher<B> {
    /// Returns the best `k` hits of each segment, and the number of passages scored.
    ///
    /// While the probed cells hold fewer than `k` passages (of the subset), four times as many cells are probed. If
    /// that would be every cell, every passage is scored instead, which is less work.
    pub(crate) fn funnel(
        &self,
        query: &B::Query,
        Depth { k, mut nprobe, ndocs, num_rescored }: Depth,
        subset: Option<&Subset>,
        stages: &mut StageTimes,
        clock: &mut Clock,
    ) -> Result<(Vec<RawHit>, usize)> {
        let table = self.backend.centroid_table(&self.resident, query)?;
        let (target, num_centroids) = (subset.map_or(k, |s| k.min(s.len())), self.num_centroids());
        let candidates = loop {
            let probed = self.backend.probe(&table, nprobe)?;
            stages.probe += clock.lap();
            let candidates = self.candidates(&probed, subset, ndocs);
            stages.candidates += clock.lap();
            if candidates.len() >= target || nprobe >= num_centroids {
                break candidates;
            }
            nprobe *= 4;
            if nprobe >= num_centroids {
                return self.exact_with_table(query, &table, k, subset);
            }
        };
        let kept = approx::rank(self.backend(), &self.segments, &table, candidates, num_rescored)?;
        stages.approx = clock.lap();
        let hits = score::score(self.backend(), &self.segments, query, &table, &kept, k)?;
        Ok((hits, kept.len()))
    }

    /// Returns the ranks of passages among the candidates of a query `(Q, D) f32`.
    ///
    /// The result has one list for each number of candidates in `ndocs`. The list has the rank of each of `pids`
    /// among that many best candidates: 0 for the best approximate score, `None` for a passage that is not one of
    /// them.
    ///
    /// # Errors
    /// The errors of [`query::check`]; [`Error::Backend`](crate::Error::Backend) if the device fails.
    pub fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
    ) -> Result<Vec<Vec<Option<usize>>>> {
        query::check(self.dim(), embeddings)?;
        let query = self.quantized(embeddings)?;
        let most = ndocs.iter().copied().max().unwrap_or(0);
        if self.backend.query_len(&query) == 0 || most == 0 {
            return Ok(vec![vec![None; pids.len()]; ndocs.len()]);
        }
        let table = self.backend.centroid_table(&self.resident, &query)?;
        let mut listed = self.candidates(&self.backend.probe(&table, nprobe)?, None, most);
        let mut ranked = approx::score(self.backend(), &self.segments, &table, &listed, listed.len())?;
        let best_first = |c: &Candidate| (Reverse(c.approx), c.segment, c.pid);
        listed.sort_unstable_by_key(best_first);
        ranked.sort_unstable_by_key(best_first);
        // The best n candidates by the probed cells are those with a place below n in `listed`.
        let places: HashMap<(u32, Pid), usize> = listed.iter().map(|c| (c.segment, c.pid)).zip(0..).collect();
        let ranked: Vec<(Pid, usize)> = ranked
            .iter()
            .map(|c| (self.segments[c.segment as usize].first_pid + c.pid, places[&(c.segment, c.pid)]))
            .collect();
        let ranks = |&ndocs: &usize| {
            let among: HashMap<Pid, usize> =
                ranked.iter().filter(|&&(_, place)| place < ndocs).map(|&(pid, _)| pid).zip(0..).collect();
            pids.iter().map(|pid| among.get(pid).copied()).collect()
        };
        Ok(ndocs.iter().map(ranks).collect())
    }

    /// Returns the best `ndocs` passages of the probed cells, ordered by segment and pid.
    fn candidates(&self, probed: &Probed, subset: Option<&Subset>, ndocs: usize) -> Vec<Candidate> {
        let mut scratch = self.scratch.lock().expect("no holder panics").pop().unwrap_or_default();
        let mut kept = candidates::Kept::new(ndocs);
        for (number, segment) in self.segments.iter().enumerate() {
            let local = subset.map(|s| s.local(segment.first_pid, segment.num_passages));
            // A subset has no deleted passage.
            let is_included = |pid| match &local {
                Some(local) => local.contains(pid),
                None => !segment.deleted.contains(pid),
            };
            candidates::gather(
                &mut scratch,
                &segment.lists,
                segment.num_passages,
                number as u32,
                probed,
                is_included,
                &mut kept,
            );
        }
        self.scratch.lock().expect("no holder panics").push(scratch);
        kept.into_sorted()
    }
}
