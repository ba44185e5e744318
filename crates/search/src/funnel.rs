//! Approximate search: the stages from the centroid table to the best hits of each segment.

use crate::candidates::{self, Candidate};
use crate::ranking::Clock;
use crate::{Mode, PassageSet, Result, Searcher, StageTimes, approx, query, score};
use selvedge_backend::{Backend, Pid, Probed, RawHit};
use selvedge_index::RoaringBitmap;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Number of looked up scores that take as long as one visited entry of an inverted list.
const SCORES_PER_ENTRY: f64 = 8.0;

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
    /// Candidates are the best passages of the probed cells, or all of a small set ([`Searcher::is_small`]).
    pub(crate) fn funnel(
        &self,
        query: &B::Query,
        Depth { k, nprobe, ndocs, num_rescored }: Depth,
        set: Option<&PassageSet>,
        stages: &mut StageTimes,
        clock: &mut Clock,
    ) -> Result<(Vec<RawHit>, usize)> {
        let table = self.backend.centroid_table(&self.resident, query)?;
        let candidates = match set.filter(|set| self.is_small(set, nprobe)) {
            Some(set) => Some(all_candidates(set)),
            None => {
                self.probed_candidates(&table, nprobe, set.map_or(k, |s| k.min(s.len())), ndocs, set, stages, clock)?
            }
        };
        let Some(candidates) = candidates else { return self.exact_with_table(query, &table, k, set) };
        let kept = approx::rank(self.backend(), &self.segments, &table, candidates, num_rescored)?;
        stages.approx = clock.lap();
        let hits = score::score(self.backend(), &self.segments, query, &table, &kept, k)?;
        Ok((hits, kept.len()))
    }

    /// Whether scoring a set by all its centroids is less work than gathering candidates from `nprobe` cells.
    ///
    /// Per query token and centroid, the cells hold `tokens / K` entries, and the passages of a set `tokens * set / P`.
    /// To visit an entry takes about [`SCORES_PER_ENTRY`] times as long as to look up a token's score. The rule counts
    /// only what is the same for any division into segments: so are the hits.
    fn is_small(&self, set: &PassageSet, nprobe: usize) -> bool {
        let share = set.len() as f64 / self.num_passages as f64;
        share <= SCORES_PER_ENTRY * nprobe as f64 / self.num_centroids() as f64
    }

    /// Returns the best `ndocs` passages of the probed cells; `None` if every passage should be scored instead.
    ///
    /// While the probed cells hold fewer than `least` passages of the set, four times as many cells are probed. If that
    /// would be every cell, scoring every passage is less work.
    #[allow(clippy::too_many_arguments)]
    fn probed_candidates(
        &self,
        table: &B::Table,
        mut nprobe: usize,
        least: usize,
        ndocs: usize,
        set: Option<&PassageSet>,
        stages: &mut StageTimes,
        clock: &mut Clock,
    ) -> Result<Option<Vec<Candidate>>> {
        loop {
            let probed = self.backend.probe(table, nprobe)?;
            stages.probe += clock.lap();
            let candidates = self.candidates(&probed, set, ndocs);
            stages.candidates += clock.lap();
            if candidates.len() >= least || nprobe >= self.num_centroids() {
                return Ok(Some(candidates));
            }
            nprobe *= 4;
            if nprobe >= self.num_centroids() {
                return Ok(None);
            }
        }
    }

    /// Returns the ranks of passages among the candidates of a query `(Q, D) f32` within `set`, if there is one.
    ///
    /// The result has one list for each number of candidates in `ndocs`. The list has the rank of each of `pids`
    /// among that many best candidates: 0 for the best approximate score, `None` for a passage that is not one of
    /// them.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    pub fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
        set: Option<&PassageSet>,
    ) -> Result<Vec<Vec<Option<usize>>>> {
        query::check(self.dim(), embeddings)?;
        let query = self.quantized(embeddings)?;
        let most = ndocs.iter().copied().max().unwrap_or(0);
        if self.backend.query_len(&query) == 0 || most == 0 {
            return Ok(vec![vec![None; pids.len()]; ndocs.len()]);
        }
        let table = self.backend.centroid_table(&self.resident, &query)?;
        let mut listed = self.candidates(&self.backend.probe(&table, nprobe)?, self.allowed(set)?, most);
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
    fn candidates(&self, probed: &Probed, set: Option<&PassageSet>, ndocs: usize) -> Vec<Candidate> {
        let mut scratch = self.scratch.lock().expect("no holder panics").pop().unwrap_or_default();
        let mut kept = candidates::Kept::new(ndocs);
        for (number, segment) in self.segments.iter().enumerate() {
            candidates::gather(
                &mut scratch,
                &segment.lists,
                segment.num_passages,
                number as u32,
                probed,
                set.map(|set| &*set.segment(number).passages),
                &mut kept,
            );
        }
        self.scratch.lock().expect("no holder panics").push(scratch);
        kept.into_sorted()
    }
}

/// All passages of a set, in the order of segments and pids, without scores.
fn all_candidates(set: &PassageSet) -> Vec<Candidate> {
    let of_segment = |(segment, passages): (u32, &RoaringBitmap)| {
        passages.iter().map(move |pid| Candidate { pid, segment, approx: 0 }).collect::<Vec<_>>()
    };
    (0..).zip(set.by_segment()).flat_map(of_segment).collect()
}
