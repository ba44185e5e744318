//! `filter`, the sums of a batch of queries: kernels/filter.cu.

use super::{
    calls::CudaStream,
    chosen::ChosenArgument,
    constants::{Constant, WARP},
    context::{Buffer, Context},
    modules::{Kernel, value},
    rows::Run,
};
use crate::Result;
use bytemuck::{Pod, Zeroable};
use std::mem::offset_of;

/// Warps of a block, each with a query of its own: they read the same rows. Other numbers were not measured.
const WARPS: usize = 8;
const THREADS: u32 = (WARPS * WARP) as u32;
/// Blocks per multiprocessor, which go from passage to passage.
const BLOCKS_OF_MULTIPROCESSOR: usize = 4;

/// Largest number of queries of a batch.
pub(super) const MOST_QUERIES: usize = 32;

pub(super) const CONSTANTS: [Constant; 2] = [("THREADS", THREADS as i64), ("MOST_QUERIES", MOST_QUERIES as i64)];

/// A query of a batch: `Asked` of kernels/batch.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct AskedArgument {
    query: u64,
    sums: u64,
    query_len: u32,
    unused: u32,
}

/// The queries of a launch: `Batch` of kernels/batch.cuh.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct BatchArgument {
    asked: [AskedArgument; MOST_QUERIES],
    num: u64,
}

// kernels/batch.cuh asserts the same.
const _: () = {
    assert!(size_of::<AskedArgument>() == 24 && offset_of!(AskedArgument, query_len) == 16);
    assert!(size_of::<BatchArgument>() == 24 * MOST_QUERIES + 8);
};

impl BatchArgument {
    /// Makes a batch of queries, each with its tokens as `query_layout` arranges them, its sums and its length.
    pub(super) fn new<'a>(queries: impl Iterator<Item = (&'a Buffer<i8>, &'a Buffer<i32>, usize)>) -> Self {
        let mut batch = Self { asked: [AskedArgument::zeroed(); MOST_QUERIES], num: 0 };
        for (query, sums, query_len) in queries {
            let asked = &mut batch.asked[batch.num as usize];
            *asked = AskedArgument {
                query: *query.pointer(),
                sums: *sums.pointer(),
                query_len: query_len as u32,
                unused: 0,
            };
            batch.num += 1;
        }
        batch
    }

    /// Lengths of the queries.
    pub(super) fn query_lens(&self) -> impl Iterator<Item = usize> {
        self.asked[..self.num as usize].iter().map(|asked| asked.query_len as usize)
    }
}

/// Launches the kernel for the passages of a run.
///
/// # Safety
/// `rows` has the rows of the run, each query is arranged and has a sum for each pid, and the chosen passages are all
/// or a set.
pub(super) unsafe fn launch(
    kernel: &Kernel,
    context: &Context,
    stream: &CudaStream,
    batch: &BatchArgument,
    rows: &Buffer<i8>,
    chosen: ChosenArgument,
    run: &Run,
) -> Result<()> {
    let warps = (batch.num as usize).clamp(1, WARPS);
    let groups = (batch.num as usize).div_ceil(warps);
    let busy = context.device().multiprocessors as usize * BLOCKS_OF_MULTIPROCESSOR / groups.max(1);
    let arguments = [
        value(batch),
        rows.argument(),
        value(&run.segment),
        chosen.argument(),
        value(&run.base),
        value(&run.first),
        value(&run.num),
    ];
    let blocks = ((run.num as usize).min(busy.max(1)), groups);
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees the lengths.
    unsafe { kernel.launch_on(stream, blocks, (warps * WARP) as u32, &arguments) }
}
