//! The survivors of a batch's sums, whose scores are computed as for a single query.

use super::{
    arena::Sizes,
    recipe::{Recipe, Run},
};
use crate::Result;
use crate::cuda::{
    chosen::ChosenArgument,
    context::Buffer,
    quantize_query::OutcomeArgument,
    select::EntriesArgument,
    survivors::{self, Asked, Kept},
    top_k::Order,
};
use std::mem::offset_of;

/// Part of the passages that may survive: 1 / 16. Rescoring them takes at most that part of a scan.
const SURVIVING_SHARE: usize = 16;
/// Survivors for each result that have slots in any case, and slots of an index of few passages.
const SURVIVORS_OF_RESULT: usize = 4;
const LEAST_SLOTS: usize = 1024;

/// Launches of a search.
#[derive(Clone, Copy)]
pub(super) enum Stage<'a> {
    /// Everything.
    All,
    /// The query alone, whose arranged tokens are kept in this buffer.
    Query(&'a Buffer<i8>),
    /// Everything, of the passages that these sums leave.
    Survivors(&'a Buffer<i32>),
}

impl Sizes {
    /// The sizes for survivors of this number of slots.
    pub(super) fn of_survivors(self, slots: usize, k: usize, chunks: usize) -> Self {
        Self { scores: slots, candidates: slots, rescored: k, missing: 1, chunks, ..self }
    }
}

impl Recipe<'_> {
    /// Number of survivors that have slots. A query with more is answered by a scan.
    pub(super) fn slots(&self) -> usize {
        let (num_pids, k) = (self.index.num_pids, self.shape.plan.k);
        (num_pids / SURVIVING_SHARE).max(SURVIVORS_OF_RESULT * k).max(LEAST_SLOTS).min(num_pids)
    }
}

impl Run<'_> {
    /// Writes the passages that may be among the best, by their sums, to the candidates.
    ///
    /// # Safety
    /// As [`Recipe::launches`].
    pub(super) unsafe fn survivors(&self, sums: &Buffer<i32>, set: ChosenArgument) -> Result<()> {
        let Run { recipe, kernels, arena, stream, .. } = *self;
        let (num_pids, k, context) = (recipe.index.num_pids, recipe.shape.plan.k, &recipe.cuda.context);
        let [threshold, survivors] = kernels.survivors.as_ref().expect("loaded for a batch");
        let found = arena.output.pointer() + offset_of!(OutcomeArgument, candidates) as u64;
        let number = arena.output.pointer() + offset_of!(OutcomeArgument, rescored) as u64;
        let keys = &arena.candidates;
        let kept = Kept { keys, slots: recipe.slots(), threshold: &arena.missing, number };
        let (query_len, dim) = (recipe.shape.query_len, recipe.index.codec.host.dim);
        let asked = Asked { rows: &arena.rows, query_len, dim, bound: recipe.bound.expect("of a batch") };
        // SAFETY: as in `stage`: there are sums of all pids, as many keys as slots, and `k` keys of the best sums.
        unsafe {
            let entries = EntriesArgument::scores(sums, set, num_pids);
            let best = (recipe.chunks(num_pids, 1, k), k, Order::Any);
            self.select(entries, best, *arena.rescored.pointer(), offset_of!(OutcomeArgument, candidates))?;
            survivors::launch_threshold(threshold, (context, stream), kept, (&arena.rescored, found, k), asked)?;
            survivors::launch_survivors(survivors, (context, stream), kept, sums, (set, num_pids))
        }
    }
}
