//! Open index on a backend, and its two ways to answer a query: approximate and exhaustive.

use crate::{Error, GoesOn, Hit, Mode, PassageSet, Ranking, Result, SearchParams, StageTimes, Tuned, query, topk};
use crate::{candidates::Scratch, funnel::Depth, passage_set::FilterCache, ranking::Clock};
use rayon::prelude::*;
use selvedge_backend::{
    Backend, CellLists, CheckedCodec, CompressedPassages, DeviceIndex, Embeddings, IndexPart, Pid, RawHit,
};
use selvedge_codec::plan;
use selvedge_index::{CodecEntry, Columns, Deleted, Index, InvertedLists, RoaringBitmap, Segment};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Query tokens of the table for which an index leaves memory; a query of ColBERT has 32.
const TILE_TOKENS: usize = 32;

/// Segment that is loaded into the backend's memory. Generations of an index share the segments that they have in
/// common.
pub struct ResidentSegment<B: Backend> {
    /// Pid of its first passage.
    pub first_pid: Pid,
    /// Number of passages, deleted ones included.
    pub num_passages: usize,
    /// Offsets, codes, residuals and weight indices in the backend's memory.
    pub passages: Arc<B::Passages>,
    /// Offsets, codes, residuals and weight indices in the host's memory; they share their bytes with the index.
    pub compressed: CompressedPassages,
    /// Inverted lists: the passages of each cell.
    pub lists: InvertedLists,
    /// Deleted passages, by local pids.
    pub deleted: Deleted,
    /// Columns of the metadata; `None` in a segment that was made before they were written.
    pub columns: Option<Columns>,
    /// Passages for which filters are true, deleted ones included. Generations share them.
    pub(crate) filtered: Arc<FilterCache<RoaringBitmap>>,
}

impl<B: Backend> ResidentSegment<B> {
    /// Describes a segment of an index whose arrays are loaded.
    fn new(segment: &Segment, passages: Arc<B::Passages>, before: Option<&Self>) -> Self {
        Self {
            first_pid: segment.first_pid,
            num_passages: segment.passages.num_passages(),
            passages,
            compressed: segment.passages.clone(),
            lists: segment.lists.clone(),
            deleted: segment.deleted.clone(),
            columns: segment.columns.clone(),
            filtered: before.map_or_else(|| Arc::new(FilterCache::new()), |before| Arc::clone(&before.filtered)),
        }
    }

    /// Whether these are the arrays of `segment`.
    fn holds(&self, segment: &Segment) -> bool {
        self.compressed.offsets.as_ptr() == segment.passages.offsets.as_ptr()
    }

    /// Converts the local pid of a hit to the pid in the index.
    pub(crate) fn global(&self, hit: RawHit) -> RawHit {
        RawHit { pid: hit.pid + self.first_pid, ..hit }
    }
}

/// Open index on a backend.
pub struct Searcher<B: Backend> {
    pub(crate) backend: Arc<B>,
    pub(crate) resident: Arc<B::Codec>,
    codec: CodecEntry,
    pub(crate) segments: Vec<ResidentSegment<B>>,
    /// The index in the memory of a device, if the backend searches it there.
    pub(crate) on_device: Option<Box<dyn DeviceIndex>>,
    pub(crate) num_passages: usize,
    /// Factor of the candidates of an approximate search, for an index that has outgrown its centroids.
    candidates: usize,
    /// Directory of the index.
    pub(crate) path: PathBuf,
    /// Mark of the passage sets that this searcher has made.
    pub(crate) owner: Arc<()>,
    /// Passages for which filters are true.
    pub(crate) filtered: FilterCache<PassageSet>,
    /// Passages that are not deleted; `None` if no passage is.
    pub(crate) alive: Option<PassageSet>,
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
        let resident = Self::load_codec(&backend, index)?;
        Self::of_index(Arc::new(backend), resident, index, &[])
    }

    /// Follows an index to another generation: loads only the segments that this searcher lacks, and shares the others.
    /// This searcher stays as it is.
    ///
    /// # Errors
    /// As [`Searcher::new`].
    pub fn followed(&self, index: &Index) -> Result<Self> {
        if index.manifest().codec == self.codec {
            return Self::of_index(Arc::clone(&self.backend), Arc::clone(&self.resident), index, &self.segments);
        }
        let resident = Self::load_codec(&self.backend, index)?;
        Self::of_index(Arc::clone(&self.backend), resident, index, &[])
    }

    /// Loads the codec of an index, if there is memory for it and all segments, and for the table of a query of a tile.
    fn load_codec(backend: &B, index: &Index) -> Result<Arc<B::Codec>> {
        let codec = &index.codec()?.params;
        let table = codec.num_centroids() * TILE_TOKENS * size_of::<i32>();
        backend.check_memory((codec.centroids.len() + table) as u64 + needed_bytes::<B>(index, &[]))?;
        Ok(Arc::new(backend.load_codec(codec.clone())?))
    }

    fn of_index(
        backend: Arc<B>,
        resident: Arc<B::Codec>,
        index: &Index,
        before: &[ResidentSegment<B>],
    ) -> Result<Self> {
        backend.check_memory(needed_bytes(index, before))?;
        let load = |segment: &Segment| {
            let before = before.iter().find(|before| before.holds(segment));
            let passages = match before {
                Some(before) => Arc::clone(&before.passages),
                None => Arc::new(backend.load_passages(&resident, segment.passages.clone())?),
            };
            backend.load_lists(&passages, &|| cell_lists(&segment.lists))?;
            Ok(ResidentSegment::new(segment, passages, before))
        };
        let segments = index.segments().iter().map(load).collect::<Result<Vec<_>>>()?;
        let of = |s: &ResidentSegment<B>| IndexPart { passages: Arc::clone(&s.passages), first_pid: s.first_pid };
        let on_device = backend.load_index(&resident, segments.iter().map(of).collect())?;
        let codec = index.manifest().codec;
        let mut searcher = Self {
            backend,
            resident,
            codec,
            segments,
            on_device,
            num_passages: index.num_passages() as usize,
            candidates: plan::num_centroids(index.num_tokens() as usize) / codec.num_centroids,
            path: index.path().into(),
            owner: Arc::default(),
            filtered: FilterCache::new(),
            alive: None,
            tuned: tuned(index),
            scratch: Mutex::default(),
        };
        searcher.alive = searcher.not_deleted();
        Ok(searcher)
    }

    /// Components of an embedding, `D`.
    pub fn dim(&self) -> usize {
        self.codec().dim
    }

    /// Number of passages that are not deleted, `P`.
    pub fn num_passages(&self) -> usize {
        self.num_passages
    }

    /// Number of pids; deleted passages have theirs.
    pub(crate) fn num_pids(&self) -> usize {
        self.segments.last().map_or(0, |last| last.first_pid as usize + last.num_passages)
    }

    /// Number of centroids, `K`.
    pub fn num_centroids(&self) -> usize {
        self.codec().num_centroids()
    }

    /// Returns parameters for `k` results within `set`, if there is one: those tuned on this index for the least `k` at
    /// or above this one, or else [`SearchParams::approximate`] [for its passages](SearchParams::for_passages), with
    /// more cells where a set thins the lists ([`SearchParams::with_more_cells`]), and more candidates if the index has
    /// outgrown its centroids.
    pub fn params(&self, k: usize, set: Option<&PassageSet>) -> SearchParams {
        if let Some(tuned) = self.tuned.iter().find(|tuned| tuned.k >= k) {
            return SearchParams { k, ..tuned.params() };
        }
        let fitted = SearchParams::approximate(k).for_passages(self.num_passages);
        let params = fitted.with_more_candidates(self.candidates);
        let is_thin = set.is_some_and(|set| set.is_restriction() && self.can_open_more(params, set));
        if is_thin { params.with_more_cells() } else { params }
    }

    /// Codec of the index.
    pub fn codec(&self) -> &CheckedCodec {
        (*self.resident).as_ref()
    }

    /// Backend that computes.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Segments in pid order, for callers of single stages.
    pub fn segments(&self) -> &[ResidentSegment<B>] {
        &self.segments
    }

    /// Answers one query `(Q, D) f32`, restricted to the passages of `set` if there is one.
    ///
    /// # Errors
    /// The errors of [`query::check`]; [`Error::OtherGeneration`](crate::Error::OtherGeneration) if another searcher
    /// has made the set; [`Error::Backend`](crate::Error::Backend) if the device fails.
    pub fn search(&self, embeddings: &[f32], params: &SearchParams, set: Option<&PassageSet>) -> Result<Ranking> {
        query::check(self.dim(), embeddings)?;
        let set = self.allowed(set)?;
        match &self.on_device {
            Some(index) => {
                let mut rankings = self.answer_on_device(&**index, &[Embeddings::Host(embeddings)], params, set)?;
                Ok(rankings.pop().unwrap_or_default())
            }
            None => self.answer(embeddings, params, set),
        }
    }

    /// Answers queries whose embeddings are on the host or on a device, `(Q, D)` each. Embeddings of
    /// the device that searches stay there; any other backend copies them to the host.
    ///
    /// # Errors
    /// As [`Searcher::search_batch`]. Embeddings on a device are checked when they are searched.
    pub fn search_embeddings(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        if let Some(index) = &self.on_device {
            queries.iter().try_for_each(|&query| query::check_embeddings(self.dim(), query))?;
            let mut copies = Vec::with_capacity(queries.len());
            for query in queries {
                // Embeddings on another device, say.
                copies.push(if index.reads(query) { None } else { Some(self.on_host(*query)?.into_owned()) });
            }
            let readable: Vec<Embeddings<'_>> = queries
                .iter()
                .zip(&copies)
                .map(|(query, copy)| copy.as_deref().map_or(*query, Embeddings::Host))
                .collect();
            return self.answer_on_device(&**index, &readable, params, self.allowed(set)?);
        }
        let queries = queries.iter().map(|query| query.to_host()).collect::<Result<Vec<_>, _>>()?;
        self.search_batch(&queries, params, set)
    }

    /// Answers many queries `(Q, D) f32` on the current rayon pool: approximate searches one core per query, exhaustive
    /// ones in one call of the backend.
    ///
    /// # Errors
    /// The error of [`query::check`] of the first query that has one, before any query is answered;
    /// [`Error::OtherGeneration`](crate::Error::OtherGeneration) if another searcher has made the set;
    /// [`Error::Backend`](crate::Error::Backend) if the device fails.
    pub fn search_batch<Q: AsRef<[f32]> + Sync>(
        &self,
        queries: &[Q],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        let queries: Vec<&[f32]> = queries.iter().map(AsRef::as_ref).collect();
        self.batch(&queries, params, set, None)
    }

    /// Answers queries as [`Searcher::search_embeddings`] while `goes_on` returns true. It is asked before each query
    /// of an approximate search, and after each 2^20 tokens of an exhaustive one; on a device that searches by itself
    /// only at the beginning.
    ///
    /// # Errors
    /// As [`Searcher::search_embeddings`]; [`Error::Stopped`](crate::Error::Stopped) if `goes_on` returned false.
    pub fn search_embeddings_while(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
        goes_on: &GoesOn,
    ) -> Result<Vec<Ranking>> {
        if !goes_on() {
            return Err(Error::Stopped);
        }
        if self.on_device.is_some() {
            return self.search_embeddings(queries, params, set);
        }
        let queries = queries.iter().map(|query| query.to_host()).collect::<Result<Vec<_>, _>>()?;
        let queries: Vec<&[f32]> = queries.iter().map(|query| &**query).collect();
        self.batch(&queries, params, set, Some(goes_on))
    }

    /// Answers many queries: [`Self::search_batch`] for one type of them.
    fn batch(
        &self,
        queries: &[&[f32]],
        params: &SearchParams,
        set: Option<&PassageSet>,
        goes_on: Option<&GoesOn>,
    ) -> Result<Vec<Ranking>> {
        queries.iter().try_for_each(|query| query::check(self.dim(), query))?;
        let set = self.allowed(set)?;
        if let Some(index) = &self.on_device {
            let queries: Vec<Embeddings<'_>> = queries.iter().map(|query| Embeddings::Host(query)).collect();
            return self.answer_on_device(&**index, &queries, params, set);
        }
        match params.mode {
            Mode::Exact => self.exact_batch(queries, params.k, set, goes_on),
            Mode::Approximate { .. } => {
                let answer = |query: &&[f32]| match goes_on.is_none_or(|goes_on| goes_on()) {
                    true => self.answer(query, params, set),
                    false => Err(Error::Stopped),
                };
                queries.par_iter().map(answer).collect()
            }
        }
    }

    /// Answers one query `(Q, D) f32` that has been checked.
    pub(crate) fn answer(
        &self,
        embeddings: &[f32],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Ranking> {
        let mut clock = Clock::start();
        let mut stages = StageTimes::default();
        let query = self.quantized(embeddings)?;
        stages.quantize_query = clock.lap();
        if self.backend.query_len(&query) == 0 || params.k == 0 {
            return Ok(Ranking { stages_us: stages, ..Ranking::default() });
        }
        let k = params.k.min(self.num_passages);
        let restriction = set.filter(|set| set.is_restriction());
        let is_deep = |depth: &Depth| restriction.is_none_or(|set| set.len() > depth.num_rescored);
        let depth = Depth::new(params.mode, k).filter(is_deep);
        let (hits, num_scored) = match depth {
            Some(depth) => self.funnel(&query, depth, set, &mut stages, &mut clock)?,
            None => {
                let (mut hits, num_scored) = self.exact(std::slice::from_ref(&query), k, set, None)?;
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

/// Bytes that the segments of an index take in a device's memory, but for those that are loaded: arrays, unpacked
/// lists, and a score and a state of each passage for a search.
fn needed_bytes<B: Backend>(index: &Index, before: &[ResidentSegment<B>]) -> u64 {
    let of_segment = |segment: &Segment| {
        let CompressedPassages { offsets, codes, residuals, weights } = &segment.passages;
        // A GPU has a word for the code and the weight of each token.
        let tokens = (codes.len() + weights.len()).max(segment.passages.num_tokens() * size_of::<u32>());
        let arrays = offsets.len() + residuals.len() + tokens;
        let lists = 8 * (segment.lists.num_lists() as u64 + 1) + 4 * segment.lists.num_entries();
        arrays as u64 + lists + 8 * u64::from(segment.lists.num_passages())
    };
    let is_new = |segment: &&Segment| !before.iter().any(|before| before.holds(segment));
    index.segments().iter().filter(is_new).map(of_segment).sum()
}

/// Unpacks the lists of a segment.
fn cell_lists(lists: &InvertedLists) -> CellLists {
    let mut unpacked = CellLists { starts: vec![0], pids: Vec::with_capacity(lists.num_entries() as usize) };
    for code in 0..lists.num_lists() as u32 {
        lists.for_each(code, |pid| unpacked.pids.push(pid));
        unpacked.starts.push(unpacked.pids.len() as u64);
    }
    unpacked
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
