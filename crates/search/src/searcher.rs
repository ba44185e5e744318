//! An open index, ready to answer: the stages strung together, with their times.

use crate::candidates::{self, Candidate, Scratch};
use crate::{Mode, Result, SearchParams, Subset, Tuned, approx, query, score, topk};
use rayon::prelude::*;
use selvedge_backend::{
    Backend, CheckedCodec, CompressedPassages, Embeddings, Pid, Probed, RawHit, SegmentHit, SegmentView, Select,
};
use selvedge_index::{Index, InvertedLists};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// One segment as the backend holds it.
pub struct ResidentSegment<B: Backend> {
    /// Global pid of its first passage.
    pub first_pid: Pid,
    /// Number of passages.
    pub num_passages: usize,
    /// Codes, residuals and weights.
    pub passages: B::Passages,
    /// The same as they are mapped; they share their bytes with the index.
    pub compressed: CompressedPassages,
    /// Passages of each cell.
    pub lists: InvertedLists,
}

impl<B: Backend> ResidentSegment<B> {
    /// A result of this segment, its pid counted through all segments.
    pub(crate) fn global(&self, hit: RawHit) -> RawHit {
        RawHit { pid: hit.pid + self.first_pid, ..hit }
    }
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The passage, counted through all segments.
    pub pid: Pid,
    /// Sum over query tokens of the best similarity.
    pub score: f32,
    /// The same as the contract's integer.
    pub raw: i32,
}

/// Microseconds that each stage took. A query that is compared with every passage has all its time after rounding under
/// `score`, and one of a batch of these the batch's mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct StageTimes {
    /// Rotation and rounding.
    pub quantize_query: f64,
    /// Centroid table and choice of cells.
    pub probe: f64,
    /// InvertedLists to candidates.
    pub candidates: f64,
    /// Candidates to fewer, by their centroids.
    pub approx: f64,
    /// MaxSim and each segment's top k.
    pub score: f64,
    /// The merge.
    pub topk: f64,
}

impl StageTimes {
    /// All stages, microseconds.
    pub fn total(&self) -> f64 {
        let &Self { quantize_query, probe, candidates, approx, score, topk } = self;
        quantize_query + probe + candidates + approx + score + topk
    }

    /// One of `num` equal parts.
    fn divided(self, num: usize) -> Self {
        let part = |us: f64| us / num as f64;
        Self {
            quantize_query: part(self.quantize_query),
            probe: part(self.probe),
            candidates: part(self.candidates),
            approx: part(self.approx),
            score: part(self.score),
            topk: part(self.topk),
        }
    }
}

/// What a query came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Best first; at most k.
    pub found: Vec<Hit>,
    /// Passages whose residuals were read.
    pub num_scored: usize,
    /// Where the time went.
    pub stages_us: StageTimes,
}

/// An open index on a backend.
pub struct Searcher<B: Backend> {
    backend: B,
    resident: B::Codec,
    segments: Vec<ResidentSegment<B>>,
    num_passages: usize,
    /// What was tuned on this index, by k.
    tuned: Vec<Tuned>,
    scratch: Mutex<Vec<Scratch>>,
}

impl<B: Backend> Searcher<B> {
    /// Takes an index's arrays into the backend's memory; on a CPU they stay where they are mapped.
    pub fn new(backend: B, index: &Index) -> Result<Self> {
        let resident = backend.load_codec(index.codec().params.clone())?;
        let segments = index
            .segments()
            .iter()
            .map(|s| {
                Ok(ResidentSegment {
                    first_pid: s.first_pid,
                    num_passages: s.passages.num_passages(),
                    passages: backend.load_passages(&resident, s.passages.clone())?,
                    compressed: s.passages.clone(),
                    lists: s.lists.clone(),
                })
            })
            .collect::<Result<_>>()?;
        let num_passages = index.num_passages() as usize;
        let tuned = tuned(index);
        Ok(Self { backend, resident, segments, num_passages, tuned, scratch: Mutex::default() })
    }

    /// Components of an embedding.
    pub fn dim(&self) -> usize {
        self.resident.as_ref().dim
    }

    /// Number of passages.
    pub fn num_passages(&self) -> usize {
        self.num_passages
    }

    /// Number of centroids.
    pub fn num_centroids(&self) -> usize {
        self.resident.as_ref().num_centroids()
    }

    /// How far to look for `k` results: as it was tuned on this index for as many or the next more, or else by default.
    pub fn params(&self, k: usize) -> SearchParams {
        let fitting = self.tuned.iter().find(|tuned| tuned.k >= k);
        fitting.map_or(SearchParams::approximate(k), |tuned| SearchParams { k, ..tuned.params() })
    }

    /// The index's codec.
    pub fn codec(&self) -> &CheckedCodec {
        self.resident.as_ref()
    }

    /// The backend that answers.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The segments, for those who call the stages themselves.
    pub fn segments(&self) -> &[ResidentSegment<B>] {
        &self.segments
    }

    /// Answers one query, `(Q, D) f32`, restricted to `subset` where there is one.
    pub fn search(&self, embeddings: &[f32], params: &SearchParams, subset: Option<&Subset>) -> Result<Ranking> {
        let mut clock = Clock(Instant::now());
        let mut stages = StageTimes::default();
        let query = self.query(embeddings)?;
        stages.quantize_query = clock.lap();
        if self.backend.query_len(&query) == 0 || params.k == 0 {
            return Ok(Ranking { stages_us: stages, ..Ranking::default() });
        }
        let k = params.k.min(self.num_passages);
        let found_in_funnel = match params.mode {
            Mode::Approximate { nprobe, ndocs, num_rescored }
                if subset.is_none_or(|s| s.len() > num_rescored.max(k)) =>
            {
                let num_rescored = num_rescored.max(k);
                let depth = Depth { k, nprobe: nprobe.max(1), ndocs: ndocs.max(num_rescored), num_rescored };
                self.funnel(&query, depth, subset, &mut stages, &mut clock)?
            }
            _ => None,
        };
        let (hits, num_scored) = match found_in_funnel {
            Some(found) => found,
            None => {
                let (mut hits, num_scored) = self.exact(std::slice::from_ref(&query), k, subset)?;
                (hits.pop().expect("one query"), num_scored)
            }
        };
        stages.score += clock.lap();
        let found = self.found(&query, topk::topk(hits, k))?;
        stages.topk = clock.lap();
        Ok(Ranking { found, num_scored, stages_us: stages })
    }

    /// Answers many queries: in the funnel on the current rayon pool, one core each, and exhaustively by one call of the
    /// backend.
    pub fn search_batch<Q: AsRef<[f32]> + Sync>(
        &self,
        queries: &[Q],
        params: &SearchParams,
        subset: Option<&Subset>,
    ) -> Result<Vec<Ranking>> {
        match params.mode {
            Mode::Exact => self.exact_batch(queries, params.k, subset),
            Mode::Approximate { .. } => {
                queries.par_iter().map(|query| self.search(query.as_ref(), params, subset)).collect()
            }
        }
    }

    /// Answers queries by scoring every passage of `subset`, or of the index.
    fn exact_batch<Q: AsRef<[f32]> + Sync>(
        &self,
        queries: &[Q],
        k: usize,
        subset: Option<&Subset>,
    ) -> Result<Vec<Ranking>> {
        let mut clock = Clock(Instant::now());
        let rounded: Vec<B::Query> =
            queries.par_iter().map(|query| self.query(query.as_ref())).collect::<Result<_>>()?;
        let mut stages = StageTimes { quantize_query: clock.lap(), ..StageTimes::default() };
        let mut outcomes = vec![Ranking::default(); queries.len()];
        // Queries without a token find nothing, and no passage is read for them.
        let (numbers, asked): (Vec<usize>, Vec<B::Query>) =
            rounded.into_iter().enumerate().filter(|(_, query)| k > 0 && self.backend.query_len(query) > 0).unzip();
        let (hits, num_scored) = self.exact(&asked, k.min(self.num_passages), subset)?;
        stages.score = clock.lap();
        for ((&number, query), hits) in numbers.iter().zip(&asked).zip(hits) {
            let found = self.found(query, hits)?;
            outcomes[number] = Ranking { found, num_scored, ..Ranking::default() };
        }
        stages.topk = clock.lap();
        let mean = stages.divided(queries.len().max(1));
        outcomes.iter_mut().for_each(|outcome| outcome.stages_us = mean);
        Ok(outcomes)
    }

    /// The best `k` of all passages of `subset`, or of the index, for each query, with global pids; and how many were
    /// scored for each.
    fn exact(&self, queries: &[B::Query], k: usize, subset: Option<&Subset>) -> Result<(Vec<Vec<RawHit>>, usize)> {
        let local =
            |segment: &ResidentSegment<B>| subset.map(|s| s.local(segment.first_pid, segment.num_passages).pids());
        let pids: Vec<Option<Vec<Pid>>> = self.segments.iter().map(local).collect();
        let views: Vec<SegmentView<'_, B::Passages>> = self
            .segments
            .iter()
            .zip(&pids)
            .map(|(segment, pids)| {
                let select = pids.as_deref().map_or(Select::All, Select::Pids);
                SegmentView { passages: &segment.passages, select }
            })
            .collect();
        let num_scored = self.segments.iter().zip(&views).map(|(s, view)| view.select.len(s.num_passages)).sum();
        let found = self.backend.search_batch(&self.resident, &views, queries, k)?;
        let global = |found: Vec<SegmentHit>| found.iter().map(|f| self.segments[f.segment].global(f.hit)).collect();
        Ok((found.into_iter().map(global).collect(), num_scored))
    }

    /// Rounds a query, `(Q, D) f32`, after a look at its embeddings.
    fn query(&self, embeddings: &[f32]) -> Result<B::Query> {
        query::check(self.dim(), embeddings)?;
        Ok(self.backend.quantize_query(&self.resident, Embeddings::Host(embeddings))?)
    }

    /// Results with their scores as similarities.
    fn found(&self, query: &B::Query, hits: Vec<RawHit>) -> Result<Vec<Hit>> {
        let unit = self.backend.score_unit(query)?;
        let found = |hit: RawHit| Hit { pid: hit.pid, score: hit.score as f32 * unit, raw: hit.score };
        Ok(hits.into_iter().map(found).collect())
    }

    /// Each segment's best candidates with their scores, and how many were scored. Where the opened cells hold fewer
    /// passages than are wanted, more are opened, and none come back where that would be all of them: then to score every
    /// passage is less work.
    fn funnel(
        &self,
        query: &B::Query,
        Depth { k, mut nprobe, ndocs, num_rescored }: Depth,
        subset: Option<&Subset>,
        stages: &mut StageTimes,
        clock: &mut Clock,
    ) -> Result<Option<(Vec<RawHit>, usize)>> {
        let table = self.backend.centroid_table(&self.resident, query)?;
        let (wanted, num_centroids) = (subset.map_or(k, |s| k.min(s.len())), self.num_centroids());
        let listed = loop {
            let probed = self.backend.probe(&table, nprobe)?;
            stages.probe += clock.lap();
            let listed = self.candidates(&probed, subset, ndocs);
            stages.candidates += clock.lap();
            if listed.len() >= wanted || nprobe >= num_centroids {
                break listed;
            }
            nprobe *= 4;
            if nprobe >= num_centroids {
                return Ok(None);
            }
        };
        let kept = approx::rank(&self.backend, &self.segments, &table, listed, num_rescored)?;
        stages.approx = clock.lap();
        let hits = score::score(&self.backend, &self.segments, query, &table, &kept, k)?;
        Ok(Some((hits, kept.len())))
    }

    /// Rank of each of `pids` among the candidates of a query `(Q, D) f32` as their centroids rank them, best first
    /// from 0, once for each of `ndocs`; none for those that are not among as many candidates.
    pub fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
    ) -> Result<Vec<Vec<Option<usize>>>> {
        let query = self.query(embeddings)?;
        let most = ndocs.iter().copied().max().unwrap_or(0);
        if self.backend.query_len(&query) == 0 || most == 0 {
            return Ok(vec![vec![None; pids.len()]; ndocs.len()]);
        }
        let table = self.backend.centroid_table(&self.resident, &query)?;
        let mut listed = self.candidates(&self.backend.probe(&table, nprobe)?, None, most);
        let mut ranked = approx::score(&self.backend, &self.segments, &table, &listed, listed.len())?;
        let best_first = |c: &Candidate| (std::cmp::Reverse(c.approx), c.segment, c.pid);
        listed.sort_unstable_by_key(best_first);
        ranked.sort_unstable_by_key(best_first);
        // Where the lists put each candidate: the best n of them are those below n.
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

    fn candidates(&self, probed: &Probed, subset: Option<&Subset>, ndocs: usize) -> Vec<Candidate> {
        let mut scratch = self.scratch.lock().expect("no holder panics").pop().unwrap_or_default();
        let mut kept = candidates::Kept::new(ndocs);
        for (number, segment) in self.segments.iter().enumerate() {
            let local = subset.map(|s| s.local(segment.first_pid, segment.num_passages));
            candidates::gather(
                &mut scratch,
                &segment.lists,
                segment.num_passages,
                number as u32,
                probed,
                local.as_ref(),
                &mut kept,
            );
        }
        self.scratch.lock().expect("no holder panics").push(scratch);
        kept.into_sorted()
    }
}

/// What `selvedge tune` left in the manifest, by k; what cannot be read counts as nothing.
fn tuned(index: &Index) -> Vec<Tuned> {
    let Some(search) = &index.manifest().search else { return Vec::new() };
    let mut tuned: Vec<Tuned> = serde_json::from_value(search.clone()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the manifest's search parameters are not understood; the defaults are used");
        Vec::new()
    });
    tuned.sort_by_key(|tuned| tuned.k);
    tuned
}

/// How far a query looks in the funnel, every number in its range.
#[derive(Clone, Copy)]
struct Depth {
    k: usize,
    nprobe: usize,
    ndocs: usize,
    num_rescored: usize,
}

/// A stop watch.
struct Clock(Instant);

impl Clock {
    /// Microseconds since the last lap.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let lap = now - std::mem::replace(&mut self.0, now);
        lap.as_secs_f64() * 1e6
    }
}
