//! Approximate search: the stages from the centroid table to the best hits of each segment.

use crate::candidates::{self, Candidate};
use crate::ranking::Clock;
use crate::{Mode, PassageSet, Result, SearchParams, Searcher, StageTimes, approx, query, score};
use selvedge_backend::{Backend, Pid, Probed, RawHit};
use selvedge_index::RoaringBitmap;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Number of passages that are scored by all their centroids in the time in which the lists of the probed cells are
/// read, for each passage of the cells of a query token. Between two measurements (one core of a Xeon): 15 for a
/// million passages of 63 tokens in 4,096 cells and queries of 32 tokens; 9 for 63,874 passages of 75 tokens in 32,768
/// cells and queries of 11, without the time in which the cells are chosen, which a small set saves too.
const SCORES_PER_PROBED: f64 = 12.0;

/// Share of all passages, inverted, up to which a set is thin.
const THIN: usize = 4;

/// Candidates of a thin set that are scored in full, as a share of the passages of the probed cells. A million passages
/// in 4,096 cells have 5,859 of them, and 10 % of them were searched with a recall@10 of 0.985 by 128 full scores, of
/// 0.99 by 256, and of 1 by 512; to score 366 takes a twentieth of the search.
const RESCORED_SHARE: f64 = 1.0 / 16.0;

/// Passages of the probed cells of a query token, as a share of the centroids, up to which lists are short. Between two
/// measurements of a search within a set: of 63,874 passages of 75 tokens in 32,768 cells, a share of 0.0014, reading
/// twice the lists took a tenth of the time; of a million of 63 tokens in 4,096 cells, a share of 1.4, a set that is
/// scored without lists took a tenth of the time of one that reads them.
const SHORT_LISTS: f64 = 1.0 / 64.0;

/// Parameters of an approximate search, each in its range.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    k: usize,
    pub(crate) nprobe: usize,
    pub(crate) ndocs: usize,
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
        depth: Depth,
        set: Option<&PassageSet>,
        stages: &mut StageTimes,
        clock: &mut Clock,
    ) -> Result<(Vec<RawHit>, usize)> {
        let restriction = set.filter(|set| set.is_restriction());
        let Depth { k, nprobe, ndocs, num_rescored } = self.adapted(depth, restriction);
        let table = self.backend.centroid_table(&self.resident, query)?;
        let candidates = match restriction.filter(|set| self.is_small(set, nprobe, ndocs)) {
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

    /// Mean number of passages of `nprobe` cells, from numbers that are the same for any division into segments: so are
    /// the hits.
    fn passages_probed(&self, nprobe: usize) -> f64 {
        nprobe as f64 * self.num_passages as f64 / self.num_centroids() as f64
    }

    /// Adapts the depth of a search within a set.
    ///
    /// Of a thin set, the best passages are less similar to the query, so that centroids alone rank them less reliably.
    /// Where cells hold many passages, most of the time goes to the lists; then more candidates are scored in full.
    pub(crate) fn adapted(&self, depth: Depth, set: Option<&PassageSet>) -> Depth {
        let is_thin = set.is_some_and(|set| set.len() <= self.num_passages / THIN);
        let more = if is_thin { self.passages_probed(depth.nprobe) * RESCORED_SHARE } else { 0.0 };
        Depth { num_rescored: depth.num_rescored.max(depth.ndocs.min(more as usize)), ..depth }
    }

    /// Whether the default search within a set can read twice the lists in little time: the set is not so small that no
    /// list is read, and the lists are short beside the table of all centroids.
    pub(crate) fn can_open_more(&self, params: SearchParams, set: &PassageSet) -> bool {
        let Some(depth) = Depth::new(params.mode, params.k) else { return false };
        let is_short = self.passages_probed(depth.nprobe) <= self.num_centroids() as f64 * SHORT_LISTS;
        is_short && !self.is_small(set, depth.nprobe, depth.ndocs)
    }

    /// Whether scoring a set by all its centroids is less work than gathering `ndocs` candidates from `nprobe` cells
    /// and scoring those.
    pub(crate) fn is_small(&self, set: &PassageSet, nprobe: usize, ndocs: usize) -> bool {
        set.len() as f64 <= ndocs as f64 + SCORES_PER_PROBED * self.passages_probed(nprobe)
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
        let set = self.allowed(set)?;
        let probed = self.ranked(&table, self.candidates(&self.backend.probe(&table, nprobe)?, set, most))?;
        // As in a search: of a small set, all passages are candidates.
        let restriction = set.filter(|set| set.is_restriction());
        let small = |&ndocs: &usize| restriction.filter(|set| self.is_small(set, nprobe, ndocs));
        let all = small(&most).map(|set| self.ranked(&table, all_candidates(set))).transpose()?;
        let ranks = |ndocs: &usize| {
            let (ranked, ndocs) = match &all {
                Some(all) if small(ndocs).is_some() => (all, usize::MAX),
                _ => (&probed, *ndocs),
            };
            let candidates = ranked.iter().filter(|&&(_, place)| place < ndocs);
            let among: HashMap<Pid, usize> = candidates.map(|&(pid, _)| pid).zip(0..).collect();
            pids.iter().map(|pid| among.get(pid).copied()).collect()
        };
        Ok(ndocs.iter().map(ranks).collect())
    }

    /// Ranks candidates by all their centroids, best first. Returns the pid of each, and its place by the score that it
    /// came with: the best n by that score are those with a place below n.
    fn ranked(&self, table: &B::Table, mut listed: Vec<Candidate>) -> Result<Vec<(Pid, usize)>> {
        let mut ranked = approx::score(self.backend(), &self.segments, table, &listed, listed.len())?;
        let best_first = |c: &Candidate| (Reverse(c.approx), c.segment, c.pid);
        listed.sort_unstable_by_key(best_first);
        ranked.sort_unstable_by_key(best_first);
        let places: HashMap<(u32, Pid), usize> = listed.iter().map(|c| (c.segment, c.pid)).zip(0..).collect();
        let placed = |c: &Candidate| (self.segments[c.segment as usize].first_pid + c.pid, places[&(c.segment, c.pid)]);
        Ok(ranked.iter().map(placed).collect())
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
