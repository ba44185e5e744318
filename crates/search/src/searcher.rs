//! An open index, ready to answer: the stages strung together, with their times.

use crate::candidates::{self, Candidate, Scratch};
use crate::{Mode, Params, Result, Subset, Tuned, approx, probe, quantize_query, score, topk};
use rayon::prelude::*;
use selvedge_backend::{Backend, CheckedCodec, CompressedPassages, Pid, Select};
use selvedge_index::{Index, Lists};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// One segment as the backend holds it.
pub struct Segment<B: Backend> {
    /// Global pid of its first passage.
    pub first_pid: Pid,
    /// Number of passages.
    pub num_passages: usize,
    /// Codes, residuals and scales.
    pub passages: B::Passages,
    /// The same as they are mapped; they share their bytes with the index.
    pub compressed: CompressedPassages,
    /// Passages of each cell.
    pub lists: Lists,
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The passage, counted through all segments.
    pub pid: Pid,
    /// Sum over query tokens of the best similarity.
    pub score: f32,
    /// The same as the contract's integer.
    pub raw: i32,
}

/// Microseconds that each stage took.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct StageTimes {
    /// Rotation and rounding.
    pub quantize_query: f64,
    /// Centroid table and choice of cells.
    pub probe: f64,
    /// Lists to candidates.
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
}

/// What a query came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Best first; at most k.
    pub found: Vec<Found>,
    /// Passages whose residuals were read.
    pub num_scored: usize,
    /// Where the time went.
    pub stages_us: StageTimes,
}

/// An open index on a backend.
pub struct Searcher<B: Backend> {
    backend: B,
    codec: CheckedCodec,
    resident: B::Codec,
    segments: Vec<Segment<B>>,
    num_passages: usize,
    /// What was tuned on this index, by k.
    tuned: Vec<Tuned>,
    scratch: Mutex<Vec<Scratch>>,
}

impl<B: Backend> Searcher<B> {
    /// Takes an index's arrays into the backend's memory; on a CPU they stay where they are mapped.
    pub fn new(backend: B, index: &Index) -> Result<Self> {
        let codec = index.codec().params.clone();
        let resident = backend.load_codec(codec.clone())?;
        let segments = index
            .segments()
            .iter()
            .map(|s| {
                Ok(Segment {
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
        Ok(Self { backend, codec, resident, segments, num_passages, tuned, scratch: Mutex::default() })
    }

    /// Components of an embedding.
    pub fn dim(&self) -> usize {
        self.codec.dim
    }

    /// Number of passages.
    pub fn num_passages(&self) -> usize {
        self.num_passages
    }

    /// Number of centroids.
    pub fn num_centroids(&self) -> usize {
        self.codec.num_centroids()
    }

    /// How far to look for `k` results: as it was tuned on this index for as many or the next more, or else by default.
    pub fn params(&self, k: usize) -> Params {
        let fitting = self.tuned.iter().find(|tuned| tuned.k >= k);
        fitting.map_or(Params::funnel(k), |tuned| Params { k, ..tuned.params() })
    }

    /// The index's codec.
    pub fn codec(&self) -> &CheckedCodec {
        &self.codec
    }

    /// The backend that answers.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The segments, for those who call the stages themselves.
    pub fn segments(&self) -> &[Segment<B>] {
        &self.segments
    }

    /// Answers one query, `(Q, D) f32`, restricted to `subset` where there is one.
    pub fn search(&self, embeddings: &[f32], params: &Params, subset: Option<&Subset>) -> Result<Outcome> {
        let mut clock = Clock(Instant::now());
        let mut stages = StageTimes::default();
        let query = quantize_query::quantize_query(&self.codec, embeddings)?;
        stages.quantize_query = clock.lap();
        if query.is_empty() || params.k == 0 {
            return Ok(Outcome { stages_us: stages, ..Outcome::default() });
        }
        let table = self.backend.centroid_table(&self.resident, &query)?;
        let k = params.k.min(self.num_passages);
        let mut num_scored = 0;
        let kept = match params.mode {
            Mode::Funnel { nprobe, ndocs, nfull } if subset.is_none_or(|s| s.len() > nfull.max(k)) => {
                let wanted = subset.map_or(k, |s| k.min(s.len()));
                let (nfull, nprobe) = (nfull.max(k), nprobe.max(1));
                let kept = self.funnel(&table, nprobe, ndocs.max(nfull), wanted, subset, &mut stages, &mut clock)?;
                kept.map(|kept| approx::rank(&self.backend, &self.segments, &table, kept, nfull)).transpose()?
            }
            _ => None,
        };
        let hits = match kept {
            Some(kept) => {
                stages.approx = clock.lap();
                num_scored = kept.len();
                score::score(&self.backend, &self.segments, &query, &table, &kept, k)?
            }
            None => {
                stages.probe += clock.lap();
                let mut hits = Vec::new();
                for segment in &self.segments {
                    let pids = subset.map(|s| s.local(segment.first_pid, segment.num_passages).pids());
                    let select = pids.as_deref().map_or(Select::All, Select::Pids);
                    num_scored += pids.as_ref().map_or(segment.num_passages, Vec::len);
                    hits.extend(score::score_segment(&self.backend, segment, &query, &table, select, k)?);
                }
                hits
            }
        };
        stages.score = clock.lap();
        let unit = self.codec.score_unit(&query);
        let found = topk::topk(hits, k);
        let found = found
            .into_iter()
            .map(|hit| Found { pid: hit.pid, score: hit.score as f32 * unit, raw: hit.score })
            .collect();
        stages.topk = clock.lap();
        Ok(Outcome { found, num_scored, stages_us: stages })
    }

    /// Answers many queries on the current rayon pool, one core each.
    pub fn search_batch<Q: AsRef<[f32]> + Sync>(
        &self,
        queries: &[Q],
        params: &Params,
        subset: Option<&Subset>,
    ) -> Result<Vec<Outcome>> {
        queries.par_iter().map(|query| self.search(query.as_ref(), params, subset)).collect()
    }

    /// Probe and candidates; where the opened cells hold fewer passages than `wanted`, more are opened, and none come
    /// back where that would be all of them: then to score every passage is less work.
    #[allow(clippy::too_many_arguments)]
    fn funnel(
        &self,
        table: &B::Table,
        mut nprobe: usize,
        ndocs: usize,
        wanted: usize,
        subset: Option<&Subset>,
        stages: &mut StageTimes,
        clock: &mut Clock,
    ) -> Result<Option<Vec<Candidate>>> {
        let num_centroids = self.codec.num_centroids();
        loop {
            let probed = probe::probe(&self.backend, table, nprobe)?;
            stages.probe += clock.lap();
            let kept = self.candidates(&probed, subset, ndocs);
            stages.candidates += clock.lap();
            if kept.len() >= wanted || nprobe >= num_centroids {
                return Ok(Some(kept));
            }
            nprobe *= 4;
            if nprobe >= num_centroids {
                return Ok(None);
            }
        }
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
        let query = quantize_query::quantize_query(&self.codec, embeddings)?;
        let most = ndocs.iter().copied().max().unwrap_or(0);
        if query.is_empty() || most == 0 {
            return Ok(vec![vec![None; pids.len()]; ndocs.len()]);
        }
        let table = self.backend.centroid_table(&self.resident, &query)?;
        let mut listed = self.candidates(&probe::probe(&self.backend, &table, nprobe)?, None, most);
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

    fn candidates(&self, probed: &probe::Probed, subset: Option<&Subset>, ndocs: usize) -> Vec<Candidate> {
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
