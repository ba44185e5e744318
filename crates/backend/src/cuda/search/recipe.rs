//! The launches of a search, and the buffers that they need.

use super::{
    arena::{Arena, Sizes},
    index::LoadedIndex,
    lane::Shape,
    survivors::Stage,
};
use crate::cuda::{
    Cuda,
    calls::CudaStream,
    centroid_table,
    chosen::ChosenArgument,
    constants::{Constant, WARP},
    context::Buffer,
    maxsim,
    modules::{Kernel, KernelVariant, value},
    probe::{self, CellsShape},
    quantize_query::{self, JobArgument, OutcomeArgument, Quantized},
    query_layout,
    score_kernels::{self, Segments},
    select::{self, Chunks, EntriesArgument, padded},
    survivors::BoundArgument,
    table::Table,
    top_k::{self, Order},
};
use crate::{Result, Route, missing_score::GROUP};
use selvedge_kernels::Op;
use std::mem::offset_of;
use std::sync::Arc;

/// Passages of a part, one bit each in shared memory.
pub(in crate::cuda) const PART_PASSAGES: usize = 1 << 16;
/// Bits of the sum of a state.
const SUM_BITS: u32 = 24;
/// Threads of a block that gathers.
const THREADS: u32 = 128;
const _: () = assert!(THREADS as usize >= WARP && select::THREADS as usize >= WARP);

pub(in crate::cuda) const CONSTANTS: [Constant; 3] =
    [("THREADS", THREADS as i64), ("PART_PASSAGES", PART_PASSAGES as i64), ("SUM_BITS", SUM_BITS as i64)];

/// Elements of the output before the keys.
pub(super) const OUTCOME_WORDS: usize = size_of::<OutcomeArgument>() / size_of::<u64>();

/// The kernels of a search and its numbers.
pub(super) struct Recipe<'a> {
    pub(super) cuda: &'a Cuda,
    pub(super) index: &'a LoadedIndex,
    pub(super) shape: Shape,
    num_centroids: usize,
    /// Number of entries of the centroid table.
    table_len: usize,
    /// The bound of the sums by which a batch has left few of all passages.
    pub(super) bound: Option<BoundArgument>,
}

/// The kernels of a search, loaded before its launches are recorded.
pub(super) struct Kernels {
    quantize_query: Kernel,
    centroid_table: Kernel,
    best_of_chunks: Kernel,
    best: Kernel,
    maxsim: Vec<Kernel>,
    /// Only of routes with candidates.
    approx_scores: Option<[Kernel; 1]>,
    /// `cells`, `gather` and `drain`, only of the route of cells.
    candidates: Option<[Kernel; 3]>,
    /// `threshold` and `survivors`, only of a batch.
    pub(super) survivors: Option<[Kernel; 2]>,
}

impl<'a> Recipe<'a> {
    /// The launches of searches of `shape` in an index; of a batch with the bound of its sums.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`](crate::Error::TableTooLarge) if the centroid table exceeds its share of the memory.
    pub(super) fn new(
        cuda: &'a Cuda,
        index: &'a LoadedIndex,
        shape: Shape,
        bound: Option<BoundArgument>,
    ) -> Result<Self> {
        let num_centroids = index.codec.host.num_centroids();
        let table_len = centroid_table::checked_len(cuda, num_centroids, shape.query_len)?;
        Ok(Self { cuda, index, shape, num_centroids, table_len, bound })
    }

    pub(super) fn chunks(&self, num: usize, columns: usize, most: usize) -> Option<Chunks> {
        Chunks::new(&self.cuda.context, num, columns, most)
    }

    /// The chunks in which the hits are selected: of all passages, or of those that are rescored, unless these were
    /// selected in chunks, too: they are then a quarter of the candidates at most.
    fn chunks_of_hits(&self) -> Option<Chunks> {
        let plan = self.shape.plan;
        let (candidates, num_rescored) = match plan.route {
            Route::Everything if self.bound.is_some() => return self.chunks(self.slots(), 1, plan.k),
            Route::Everything => return self.chunks(self.index.num_pids, 1, plan.k),
            Route::Set { num_rescored } => (self.index.num_pids, num_rescored),
            Route::Cells { ndocs, num_rescored, .. } => (ndocs, num_rescored),
        };
        match self.chunks(candidates, 1, num_rescored) {
            Some(_) => None,
            None => self.chunks(num_rescored, 1, plan.k),
        }
    }

    /// The chunks in which the states are drained: at least one.
    fn drained(&self, ndocs: usize) -> Chunks {
        let len = self.index.num_pids;
        self.chunks(len, 1, ndocs).unwrap_or(Chunks { len, number: 1 })
    }

    /// Sizes of the buffers.
    pub(super) fn sizes(&self) -> Sizes {
        let Shape { query_len, plan, .. } = self.shape;
        let (dim, num_pids) = (self.index.codec.host.dim, self.index.num_pids);
        let keys = |of: Chunks, columns: usize, most: usize| columns * of.number * most;
        let of_chunks = |num, columns, most| self.chunks(num, columns, most).map_or(0, |of| keys(of, columns, most));
        let hits = self.chunks_of_hits().map_or(0, |chunks| chunks.number * plan.k);
        let rows = query_len * dim;
        let sizes = Sizes {
            job: size_of::<JobArgument>() + rows * size_of::<f32>(),
            rows,
            arranged: query_layout::arranged_len(dim, query_len),
            norm: 1,
            table: self.table_len,
            output: OUTCOME_WORDS + padded(plan.k),
            ..Sizes::default()
        };
        match plan.route {
            Route::Everything if self.bound.is_some() => {
                sizes.of_survivors(self.slots(), plan.k, of_chunks(num_pids, 1, plan.k).max(hits))
            }
            Route::Everything => Sizes { scores: num_pids, chunks: hits, ..sizes },
            Route::Set { num_rescored } => Sizes {
                scores: num_pids,
                rescored: num_rescored,
                chunks: of_chunks(num_pids, 1, num_rescored).max(hits),
                ..sizes
            },
            Route::Cells { nprobe, ndocs, num_rescored } => {
                let cells = CellsShape::new(self.num_centroids, nprobe);
                let chunks = [
                    of_chunks(self.num_centroids.div_ceil(GROUP), query_len, cells.groups),
                    self.drained(ndocs).number * ndocs,
                    of_chunks(ndocs, 1, num_rescored),
                    hits,
                ];
                Sizes {
                    scores: ndocs,
                    states: num_pids,
                    chunks: chunks.into_iter().max().expect("four"),
                    cells: cells.keys(query_len),
                    missing: query_len,
                    candidates: ndocs,
                    rescored: num_rescored,
                    ..sizes
                }
            }
        }
    }

    fn kernels(&self) -> Result<Kernels> {
        let modules = &self.cuda.modules;
        let codec = KernelVariant::codec(&self.index.codec.host);
        let kernel = |op, name| modules.kernel(op, codec, name);
        Ok(Kernels {
            quantize_query: kernel(Op::QuantizeQuery, "quantize_query")?,
            centroid_table: kernel(Op::CentroidTable, "centroid_table")?,
            best_of_chunks: kernel(Op::TopK, "best_of_chunks")?,
            best: kernel(Op::TopK, "best")?,
            maxsim: maxsim::kernels(self.cuda, &self.index.codec)?,
            approx_scores: match self.shape.plan.route {
                Route::Everything => None,
                _ => Some([kernel(Op::ApproxScores, "approx_scores")?]),
            },
            candidates: match self.shape.plan.route {
                Route::Cells { .. } => Some([
                    kernel(Op::Probe, "cells")?,
                    kernel(Op::Candidates, "gather")?,
                    kernel(Op::Candidates, "drain")?,
                ]),
                _ => None,
            },
            survivors: match self.bound {
                Some(_) => Some([kernel(Op::Survivors, "threshold")?, kernel(Op::Survivors, "survivors")?]),
                None => None,
            },
        })
    }

    /// Prepares the launches: a function that puts them on a stream, with the buffers of `arena`.
    ///
    /// # Safety
    /// When the function is called, the arena has the [sizes](Self::sizes); when the launches run, `arena.job` has a
    /// job of the shape with a set of the index, and `arena.states` are zeros. Sums are of all pids and this query.
    pub(super) unsafe fn launches<'b>(
        &'b self,
        arena: &'b Arena,
        stream: &'b CudaStream,
        stage: Stage<'b>,
    ) -> Result<impl FnOnce() -> Result<()> + 'b> {
        let kernels = self.kernels()?;
        Ok(move || {
            let table = Table {
                entries: Arc::clone(&arena.table),
                norm: Arc::clone(&arena.norm),
                narrow_below: self.index.codec.narrow_below,
                num_centroids: self.num_centroids,
                query_len: self.shape.query_len,
                has_maxima: matches!(self.shape.plan.route, Route::Cells { .. }),
            };
            let run = Run { recipe: self, kernels: &kernels, arena, stream, table: &table };
            // SAFETY: the caller guarantees the sizes and the job.
            unsafe { run.stage(stage) }
        })
    }
}

/// Launches of one recording.
pub(super) struct Run<'a> {
    pub(super) recipe: &'a Recipe<'a>,
    pub(super) kernels: &'a Kernels,
    pub(super) arena: &'a Arena,
    pub(super) stream: &'a CudaStream,
    table: &'a Table,
}

impl Run<'_> {
    /// Launches `quantize_query`.
    ///
    /// # Safety
    /// As [`Recipe::launches`]; `arranged` has the tokens of the query.
    unsafe fn quantize(&self, arranged: &Buffer<i8>) -> Result<()> {
        let Run { recipe: Recipe { index, shape, .. }, kernels, arena, stream, .. } = *self;
        let Arena { rows, norm, rotated, .. } = arena;
        let (job, signs) = (*arena.job.pointer(), &index.codec.signs);
        let quantized = Quantized { outcome: *arena.output.pointer(), rows, arranged, norm, rotated };
        // SAFETY: the buffers have the lengths that `Recipe::sizes` gives them; the caller guarantees the job.
        unsafe { quantize_query::launch(&kernels.quantize_query, stream, quantized, job, signs, shape.query_len) }
    }

    /// Launches a stage.
    ///
    /// # Safety
    /// As [`Recipe::launches`].
    unsafe fn stage(&self, stage: Stage<'_>) -> Result<()> {
        let Run { recipe: Recipe { index, shape, .. }, kernels, arena, stream, table } = *self;
        let Arena { rows, arranged, .. } = arena;
        let set = ChosenArgument::set_at(arena.job.pointer() + JobArgument::SET);
        // SAFETY: the buffers have the lengths that `Recipe::sizes` gives them, by the shapes of the kernels; the
        // caller guarantees the job.
        unsafe {
            if let Stage::Query(arranged) = stage {
                return self.quantize(arranged);
            }
            self.quantize(arranged)?;
            centroid_table::launch(&kernels.centroid_table, stream, table, &index.codec, rows)?;
            let (chosen, number) = match (shape.plan.route, stage) {
                (Route::Everything, Stage::Survivors(sums)) => {
                    self.survivors(sums, set)?;
                    (ChosenArgument::keys(&arena.candidates), self.recipe.slots())
                }
                (Route::Everything, _) => (set, index.num_pids),
                (Route::Set { num_rescored }, _) => {
                    self.rescore((set, index.num_pids), num_rescored)?;
                    (ChosenArgument::keys(&arena.rescored), num_rescored)
                }
                (Route::Cells { nprobe, ndocs, num_rescored }, _) => {
                    self.candidates(nprobe, ndocs, set)?;
                    self.rescore((ChosenArgument::keys(&arena.candidates), ndocs), num_rescored)?;
                    (ChosenArgument::keys(&arena.rescored), num_rescored)
                }
            };
            self.score(&kernels.maxsim, Some(arranged), (chosen, number))?;
            let scores = EntriesArgument::scores(&arena.scores, chosen, number);
            let best = arena.output.pointer() + size_of::<OutcomeArgument>() as u64;
            let hits = (self.recipe.chunks_of_hits(), shape.plan.k, Order::BestFirst);
            self.select(scores, hits, best, offset_of!(OutcomeArgument, found))
        }
    }

    /// Writes the best `ndocs` of the probed cells to the candidates.
    ///
    /// # Safety
    /// As [`Recipe::launches`].
    unsafe fn candidates(&self, nprobe: usize, ndocs: usize, set: ChosenArgument) -> Result<()> {
        let Run { recipe, kernels, arena, stream, table } = *self;
        let (query_len, num_pids) = (table.query_len, recipe.index.num_pids);
        let cells = CellsShape::new(table.num_centroids, nprobe);
        let sizes = [padded(cells.most), cells.probed, query_len].map(|size| size as u32);
        let drained = recipe.drained(ndocs);
        let [of_cells, gather, drain] = kernels.candidates.as_ref().expect("loaded for this route");
        let [num, chunk, most] = [num_pids, drained.len, ndocs].map(|size| size as u32);
        // SAFETY: as in `stage`; the cells have their keys, the states are (P), and each chunk has `ndocs` keys.
        unsafe {
            let maxima = EntriesArgument::maxima(table);
            let chunks = recipe.chunks(table.num_groups(), query_len, cells.groups);
            let entries = self.of_chunks(maxima, (chunks, query_len), cells.groups)?;
            let found = (&arena.cells, &arena.missing);
            probe::launch_cells(of_cells, stream, found, &entries, table, cells)?;
            let gathered = [
                arena.states.argument(),
                recipe.index.segments.argument(),
                recipe.index.parts.argument(),
                arena.cells.argument(),
                arena.missing.argument(),
                value(&sizes[0]),
                value(&sizes[1]),
                value(&sizes[2]),
            ];
            gather.launch_on(stream, (recipe.index.parts.len(), query_len), THREADS, &gathered)?;
            let set = set.set_address();
            let arguments = [
                arena.chunks.argument(),
                arena.states.argument(),
                value(&set),
                value(&num),
                value(&chunk),
                value(&most),
            ];
            drain.launch_on(stream, (drained.number, 1), select::THREADS, &arguments)?;
            let keys = EntriesArgument::keys(&arena.chunks, drained.number * ndocs);
            let found = arena.output.pointer() + offset_of!(OutcomeArgument, candidates) as u64;
            top_k::launch_best(&kernels.best, stream, *arena.candidates.pointer(), found, &keys, (ndocs, Order::Any))
        }
    }

    /// Writes the best `most` of the chosen passages, by approximate scores, to those that are rescored.
    ///
    /// # Safety
    /// As [`Recipe::launches`].
    unsafe fn rescore(&self, (chosen, number): (ChosenArgument, usize), most: usize) -> Result<()> {
        // SAFETY: as in `stage`.
        unsafe {
            let kernel = self.kernels.approx_scores.as_ref().expect("loaded for this route");
            self.score(kernel, None, (chosen, number))?;
            let scores = EntriesArgument::scores(&self.arena.scores, chosen, number);
            let rescored = (self.recipe.chunks(number, 1, most), most, Order::Any);
            self.select(scores, rescored, *self.arena.rescored.pointer(), offset_of!(OutcomeArgument, rescored))
        }
    }

    /// Scores the chosen passages.
    ///
    /// # Safety
    /// As [`Recipe::launches`].
    unsafe fn score(
        &self,
        kernels: &[Kernel],
        query: Option<&Buffer<i8>>,
        chosen: (ChosenArgument, usize),
    ) -> Result<()> {
        let Run { recipe: Recipe { cuda, index, .. }, arena, stream, table, .. } = *self;
        let segments = Segments { segments: &index.segments, codec: index.codec.argument() };
        // SAFETY: as in `stage`: there is a score for each.
        unsafe { score_kernels::launch(kernels, cuda, stream, &arena.scores, segments, table, query, chosen) }
    }

    /// Writes the best `most` entries, selected in chunks if there are any, to the address `best`, and their number to
    /// a field of the outcome.
    ///
    /// # Safety
    /// As [`Recipe::launches`]; `best` has `most` keys, or [`padded`] ones in order.
    pub(super) unsafe fn select(
        &self,
        entries: EntriesArgument,
        (chunks, most, order): (Option<Chunks>, usize, Order),
        best: u64,
        field: usize,
    ) -> Result<()> {
        let found = self.arena.output.pointer() + field as u64;
        // SAFETY: the caller guarantees the lengths.
        unsafe {
            let entries = self.of_chunks(entries, (chunks, 1), most)?;
            top_k::launch_best(&self.kernels.best, self.stream, best, found, &entries, (most, order))
        }
    }

    /// Replaces the entries of columns by the best of their chunks, if there are any.
    ///
    /// # Safety
    /// As [`Recipe::launches`].
    unsafe fn of_chunks(
        &self,
        entries: EntriesArgument,
        (chunks, columns): (Option<Chunks>, usize),
        most: usize,
    ) -> Result<EntriesArgument> {
        let Some(chunks) = chunks else { return Ok(entries) };
        let best = &self.arena.chunks;
        // SAFETY: the caller guarantees the lengths.
        unsafe {
            select::launch_chunks(&self.kernels.best_of_chunks, self.stream, best, &entries, (chunks, columns), most)?;
        }
        Ok(EntriesArgument::keys(best, chunks.number * most))
    }
}
