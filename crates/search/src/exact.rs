//! Exhaustive search: every passage of the index, or of a set, is scored.

use crate::ranking::Clock;
use crate::{PassageSet, Ranking, Result, Searcher, StageTimes, score};
use rayon::prelude::*;
use selvedge_backend::{Backend, Pid, RawHit, SegmentHit, SegmentView, Select};
use std::sync::Arc;

impl<B: Backend> Searcher<B> {
    /// Answers queries `(Q, D) f32` that have been checked, in one call of the backend.
    pub(crate) fn exact_batch(&self, queries: &[&[f32]], k: usize, set: Option<&PassageSet>) -> Result<Vec<Ranking>> {
        let mut clock = Clock::start();
        let rounded: Vec<B::Query> = queries.par_iter().map(|query| self.quantized(query)).collect::<Result<_>>()?;
        let mut stages = StageTimes { quantize_query: clock.lap(), ..StageTimes::default() };
        let mut rankings = vec![Ranking::default(); queries.len()];
        // A query without tokens finds nothing, and no passage is read for it.
        let (numbers, rounded): (Vec<usize>, Vec<B::Query>) =
            rounded.into_iter().enumerate().filter(|(_, query)| k > 0 && self.backend.query_len(query) > 0).unzip();
        let (hits, num_scored) = self.exact(&rounded, k.min(self.num_passages()), set)?;
        stages.score = clock.lap();
        for ((&number, query), hits) in numbers.iter().zip(&rounded).zip(hits) {
            let hits = self.hits(query, hits)?;
            rankings[number] = Ranking { hits, num_scored, ..Ranking::default() };
        }
        stages.topk = clock.lap();
        let mean = stages.divided(queries.len().max(1));
        rankings.iter_mut().for_each(|ranking| ranking.stages_us = mean);
        Ok(rankings)
    }

    /// Returns the best `k` passages of `set`, or of the index, for each query, and the number of passages scored
    /// for each.
    pub(crate) fn exact(
        &self,
        queries: &[B::Query],
        k: usize,
        set: Option<&PassageSet>,
    ) -> Result<(Vec<Vec<RawHit>>, usize)> {
        let pids: Vec<_> = (0..self.segments.len()).map(|at| pids(set, at)).collect();
        let views: Vec<SegmentView<'_, B::Passages>> = self
            .segments
            .iter()
            .zip(&pids)
            .map(|(segment, pids)| SegmentView { passages: &*segment.passages, select: select(pids) })
            .collect();
        let num_scored = self.segments.iter().zip(&views).map(|(s, view)| view.select.len(s.num_passages)).sum();
        let found = self.backend.search_batch(&self.resident, &views, queries, k)?;
        let global = |found: Vec<SegmentHit>| found.iter().map(|f| self.segments[f.segment].global(f.hit)).collect();
        Ok((found.into_iter().map(global).collect(), num_scored))
    }

    /// Returns the best `k` passages of each segment and the number of passages scored, for one query whose
    /// centroid table exists already.
    pub(crate) fn exact_with_table(
        &self,
        query: &B::Query,
        table: &B::Table,
        k: usize,
        set: Option<&PassageSet>,
    ) -> Result<(Vec<RawHit>, usize)> {
        let (mut hits, mut num_scored) = (Vec::new(), 0);
        for (at, segment) in self.segments.iter().enumerate() {
            let pids = pids(set, at);
            let select = select(&pids);
            num_scored += select.len(segment.num_passages);
            hits.extend(score::segment(self.backend(), segment, query, table, select, k)?);
        }
        Ok((hits, num_scored))
    }
}

/// Passages of the segment at a place that may be results; `None` for all.
fn pids(set: Option<&PassageSet>, at: usize) -> Option<Arc<[Pid]>> {
    set.map(|set| set.pids_of(at))
}

/// Selects these passages of a segment, or all.
fn select(pids: &Option<Arc<[Pid]>>) -> Select<'_> {
    pids.as_deref().map_or(Select::All, Select::Pids)
}
