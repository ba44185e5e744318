//! The device memory of a lane.

use crate::Result;
use crate::cuda::context::{Buffer, Context};
use bytemuck::Pod;
use std::sync::Arc;

/// A buffer's number of elements, of each buffer of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) job: usize,
    pub(super) rows: usize,
    pub(super) arranged: usize,
    pub(super) norm: usize,
    pub(super) table: usize,
    pub(super) scores: usize,
    pub(super) states: usize,
    pub(super) chunks: usize,
    pub(super) cells: usize,
    pub(super) missing: usize,
    pub(super) candidates: usize,
    pub(super) rescored: usize,
    pub(super) output: usize,
}

/// The buffers of a lane.
#[derive(Debug)]
pub(super) struct Arena {
    /// A [`JobArgument`], and the embeddings of the host.
    pub(super) job: Buffer<u8>,
    pub(super) rotated: Buffer<f32>,
    pub(super) rows: Buffer<i8>,
    pub(super) arranged: Buffer<i8>,
    pub(super) norm: Arc<Buffer<u32>>,
    pub(super) table: Arc<Buffer<i32>>,
    pub(super) scores: Buffer<i32>,
    /// Zeros between searches.
    pub(super) states: Buffer<u32>,
    pub(super) chunks: Buffer<u64>,
    pub(super) cells: Buffer<u64>,
    pub(super) missing: Buffer<i32>,
    pub(super) candidates: Buffer<u64>,
    pub(super) rescored: Buffer<u64>,
    /// An [`OutcomeArgument`], and the keys of the hits.
    pub(super) output: Buffer<u64>,
}

macro_rules! for_each_size {
    ($macro:ident) => {
        $macro!(job, rows, arranged, norm, table, scores, states, chunks, cells, missing, candidates, rescored, output)
    };
}

impl Sizes {
    /// Returns the larger of each two sizes.
    pub(super) fn max(self, other: &Self) -> Self {
        macro_rules! largest {
            ($($name:ident),*) => { Self { $($name: self.$name.max(other.$name)),* } };
        }
        for_each_size!(largest)
    }

    /// Whether no size is below another one.
    pub(super) fn holds(&self, needed: &Self) -> bool {
        macro_rules! hold {
            ($($name:ident),*) => { $(self.$name >= needed.$name)&&* };
        }
        for_each_size!(hold)
    }
}

impl Arena {
    /// Allocates buffers of these sizes, and waits for that: other streams use them.
    pub(super) fn new(context: &Arc<Context>, sizes: &Sizes) -> Result<Self> {
        fn allocated<T: Pod>(context: &Arc<Context>, len: usize) -> Result<Buffer<T>> {
            context.allocate(len)
        }
        let arena = Self {
            job: allocated(context, sizes.job)?,
            rotated: allocated(context, sizes.rows)?,
            rows: allocated(context, sizes.rows)?,
            arranged: allocated(context, sizes.arranged)?,
            norm: Arc::new(allocated(context, sizes.norm)?),
            table: Arc::new(allocated(context, sizes.table)?),
            scores: allocated(context, sizes.scores)?,
            states: context.zeros(sizes.states)?,
            chunks: allocated(context, sizes.chunks)?,
            cells: allocated(context, sizes.cells)?,
            missing: allocated(context, sizes.missing)?,
            candidates: allocated(context, sizes.candidates)?,
            rescored: allocated(context, sizes.rescored)?,
            output: allocated(context, sizes.output)?,
        };
        context.synchronize()?;
        Ok(arena)
    }

    pub(super) fn sizes(&self) -> Sizes {
        macro_rules! lengths {
            ($($name:ident),*) => { Sizes { $($name: self.$name.len()),* } };
        }
        for_each_size!(lengths)
    }
}
