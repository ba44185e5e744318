//! Open index on a backend, and its two ways to answer a query: approximate and exhaustive.

use crate::candidates::Scratch;
use crate::funnel::Depth;
use crate::ranking::Clock;
use crate::{Hit, Mode, Ranking, Result, SearchParams, StageTimes, Subset, Tuned, query, topk};
use rayon::prelude::*;
use selvedge_backend::{Backend, CheckedCodec, CompressedPassages, Embeddings, Pid, RawHit};
use selvedge_index::{Index, InvertedLists};
use std::sync::Mutex;

/// Segment that is loaded into the backend's memory.
pub struct ResidentSegment<B: Backend> {
    /// Pid of its first passage.
    pub first_pid: Pid,
    /// Number of passages.
    pub num_passages: usize,
    /// Offsets, codes, residuals and weight indices in the backend's memory.
    pub passages: B::Passages,
    /// Offsets, codes, residuals and weight indices in the host's memory; they share their bytes with the index.
    pub compressed: CompressedPassages,
    /// Inverted lists: the passages of each cell.
    pub lists: InvertedLists,
}

impl<B: Backend> ResidentSegment<B> {
    /// Converts the local pid of a hit to the pid in the index.
    pub(crate) fn global(&self, hit: RawHit) -> RawHit {
        RawHit { pid: hit.pid + self.first_pid, ..hit }
    }
}

/// Open index on a backend.
pub struct Searcher<B: Backend> {
    pub(crate) backend: B,
    pub(crate) resident: B::Codec,
    pub(crate) segments: Vec<ResidentSegment<B>>,
    num_passages: usize,
    /// Parameters tuned on this index, ascending by `k`.
    tuned: Vec<Tuned>,
    /// Buffers that finished searches have returned, for reuse.
    pub(crate) scratch: Mutex<Vec<Scratch>>,
}

impl<B: Backend> Searcher<B> {
    /// Loads the arrays of an index into the memory of `backend`. On a CPU nothing is copied: they stay mapped.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) if the arrays of a segment do not fit each other, or the device fails.
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

    /// Components of an embedding, `D`.
    pub fn dim(&self) -> usize {
        self.resident.as_ref().dim
    }

    /// Number of passages, `P`.
    pub fn num_passages(&self) -> usize {
        self.num_passages
    }

    /// Number of centroids, `K`.
    pub fn num_centroids(&self) -> usize {
        self.resident.as_ref().num_centroids()
    }

    /// Returns parameters for `k` results: those tuned on this index for the least `k` at or above this one, or else
    /// [`SearchParams::approximate`].
    pub fn params(&self, k: usize) -> SearchParams {
        let fitting = self.tuned.iter().find(|tuned| tuned.k >= k);
        fitting.map_or(SearchParams::approximate(k), |tuned| SearchParams { k, ..tuned.params() })
    }

    /// Codec of the index.
    pub fn codec(&self) -> &CheckedCodec {
        self.resident.as_ref()
    }

    /// Backend that computes.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Segments in pid order, for callers of single stages.
    pub fn segments(&self) -> &[ResidentSegment<B>] {
        &self.segments
    }

    /// Answers one query `(Q, D) f32`, restricted to `subset` if there is one.
    ///
    /// # Errors
    /// The errors of [`query::check`]; [`Error::Backend`](crate::Error::Backend) if the device fails.
    pub fn search(&self, embeddings: &[f32], params: &SearchParams, subset: Option<&Subset>) -> Result<Ranking> {
        query::check(self.dim(), embeddings)?;
        self.answer(embeddings, params, subset)
    }

    /// Answers many queries `(Q, D) f32` on the current rayon pool: approximate searches one core per query, exhaustive
    /// ones in one call of the backend.
    ///
    /// # Errors
    /// The error of [`query::check`] of the first query that has one, before any query is answered;
    /// [`Error::Backend`](crate::Error::Backend) if the device fails.
    pub fn search_batch<Q: AsRef<[f32]> + Sync>(
        &self,
        queries: &[Q],
        params: &SearchParams,
        subset: Option<&Subset>,
    ) -> Result<Vec<Ranking>> {
        queries.iter().try_for_each(|query| query::check(self.dim(), query.as_ref()))?;
        match params.mode {
            Mode::Exact => self.exact_batch(queries, params.k, subset),
            Mode::Approximate { .. } => {
                queries.par_iter().map(|query| self.answer(query.as_ref(), params, subset)).collect()
            }
        }
    }

    /// Answers one query `(Q, D) f32` that has been checked.
    fn answer(&self, embeddings: &[f32], params: &SearchParams, subset: Option<&Subset>) -> Result<Ranking> {
        let mut clock = Clock::start();
        let mut stages = StageTimes::default();
        let query = self.quantized(embeddings)?;
        stages.quantize_query = clock.lap();
        if self.backend.query_len(&query) == 0 || params.k == 0 {
            return Ok(Ranking { stages_us: stages, ..Ranking::default() });
        }
        let k = params.k.min(self.num_passages);
        let depth = Depth::new(params.mode, k).filter(|depth| subset.is_none_or(|s| s.len() > depth.num_rescored));
        let (hits, num_scored) = match depth {
            Some(depth) => self.funnel(&query, depth, subset, &mut stages, &mut clock)?,
            None => {
                let (mut hits, num_scored) = self.exact(std::slice::from_ref(&query), k, subset)?;
                (hits.pop().expect("one query"), num_scored)
            }
        };
        stages.score += clock.lap();
        let hits = self.hits(&query, topk::topk(hits, k))?;
        stages.topk = clock.lap();
        Ok(Ranking { hits, num_scored, stages_us: stages })
    }

    /// Rotates and rounds a query `(Q, D) f32` that has been checked.
    pub(crate) fn quantized(&self, embeddings: &[f32]) -> Result<B::Query> {
        Ok(self.backend.quantize_query(&self.resident, Embeddings::Host(embeddings))?)
    }

    /// Converts integer scores to MaxSim scores.
    pub(crate) fn hits(&self, query: &B::Query, hits: Vec<RawHit>) -> Result<Vec<Hit>> {
        let unit = self.backend.score_unit(query)?;
        let hit = |hit: RawHit| Hit { pid: hit.pid, score: hit.score as f32 * unit, raw: hit.score };
        Ok(hits.into_iter().map(hit).collect())
    }
}

/// Parameters that `selvedge tune` stored in the manifest, ascending by `k`; empty if there are none or they cannot be
/// read.
fn tuned(index: &Index) -> Vec<Tuned> {
    let Some(search) = &index.manifest().search else { return Vec::new() };
    let mut tuned: Vec<Tuned> = serde_json::from_value(search.clone()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the manifest's search parameters cannot be read; the defaults are used");
        Vec::new()
    });
    tuned.sort_by_key(|tuned| tuned.k);
    tuned
}
