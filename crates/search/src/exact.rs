//! Exhaustive search: every passage of the index, or of a set, is scored.
//!
//! A search that may be stopped is made in parts of [`PART_TOKENS`], and asks between them whether it goes on.

use crate::ranking::Clock;
use crate::{Error, GoesOn, PassageSet, Ranking, Result, Searcher, StageTimes, score, topk};
use rayon::prelude::*;
use selvedge_backend::{Backend, Pid, RawHit, SegmentHit, SegmentView, Select};
use std::sync::Arc;

/// Number of tokens that are scored between two questions whether a search goes on. For a query of 32 tokens of 128
/// components these are 4.3 G multiply-adds: 11 ms of a core at the 400 GMAC/s of `maxsim` with AVX-512, 34 ms at the
/// 126 of AVX2 (`benches/README.md`). Each part computes the centroid table again, so that smaller ones cost more.
const PART_TOKENS: usize = 1 << 20;

/// Passages that are scored in one call of the backend: places of segments, with their pids or all.
type Part = Vec<(usize, Option<Arc<[Pid]>>)>;

impl<B: Backend> Searcher<B> {
    /// Answers queries `(Q, D) f32` that have been checked, together.
    pub(crate) fn exact_batch(
        &self,
        queries: &[&[f32]],
        k: usize,
        set: Option<&PassageSet>,
        goes_on: Option<&GoesOn>,
    ) -> Result<Vec<Ranking>> {
        let mut clock = Clock::start();
        let rounded: Vec<B::Query> = queries.par_iter().map(|query| self.quantized(query)).collect::<Result<_>>()?;
        let mut stages = StageTimes { quantize_query: clock.lap(), ..StageTimes::default() };
        let mut rankings = vec![Ranking::default(); queries.len()];
        // A query without tokens finds nothing, and no passage is read for it.
        let (numbers, rounded): (Vec<usize>, Vec<B::Query>) =
            rounded.into_iter().enumerate().filter(|(_, query)| k > 0 && self.backend.query_len(query) > 0).unzip();
        let (hits, num_scored) = self.exact(&rounded, k.min(self.num_passages()), set, goes_on)?;
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
        goes_on: Option<&GoesOn>,
    ) -> Result<(Vec<Vec<RawHit>>, usize)> {
        let parts = match goes_on {
            None => vec![(0..self.segments.len()).map(|at| (at, pids(set, at))).collect()],
            Some(_) => self.parts(set),
        };
        let (mut best, mut num_scored) = (vec![Vec::new(); queries.len()], 0);
        for part in parts {
            if goes_on.is_some_and(|goes_on| !goes_on()) {
                return Err(Error::Stopped);
            }
            let views: Vec<SegmentView<'_, B::Passages>> = part
                .iter()
                .map(|(at, pids)| SegmentView { passages: &*self.segments[*at].passages, select: select(pids) })
                .collect();
            let len =
                |((at, _), view): (&(usize, _), &SegmentView<'_, _>)| view.select.len(self.segments[*at].num_passages);
            num_scored += part.iter().zip(&views).map(len).sum::<usize>();
            let found = self.backend.search_batch(&self.resident, &views, queries, k)?;
            let global = |found: &SegmentHit| self.segments[part[found.segment].0].global(found.hit);
            for (best, found) in best.iter_mut().zip(found) {
                // The hits of one call are in order.
                let is_first = best.is_empty();
                best.extend(found.iter().map(global));
                if !is_first {
                    *best = topk::topk(std::mem::take(best), k);
                }
            }
        }
        Ok((best, num_scored))
    }

    /// Divides the passages of a set, or all, into parts of about [`PART_TOKENS`].
    fn parts(&self, set: Option<&PassageSet>) -> Vec<Part> {
        let (mut parts, mut part, mut tokens) = (Vec::new(), Part::new(), 0);
        for (at, segment) in self.segments.iter().enumerate() {
            let (pids, all) = (pids(set, at), segment.num_passages);
            let per_passage = segment.compressed.num_tokens().div_ceil(all.max(1)).max(1);
            let num_pids = pids.as_deref().map_or(all, <[Pid]>::len);
            if tokens + num_pids * per_passage <= PART_TOKENS {
                tokens += num_pids * per_passage;
                part.push((at, pids));
                continue;
            }
            parts.push(std::mem::take(&mut part));
            tokens = 0;
            let pids: Vec<Pid> = pids.map_or_else(|| (0..all as Pid).collect(), |pids| pids.to_vec());
            let chunks = pids.chunks((PART_TOKENS / per_passage).max(1));
            parts.extend(chunks.map(|chunk| vec![(at, Some(Arc::from(chunk)))]));
        }
        parts.push(part);
        parts.retain(|part| !part.is_empty());
        parts
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
