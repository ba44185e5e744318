//! How much of the device a launch takes: blocks for so many warps or threads.

use super::context::Context;

/// Bytes of embeddings that an op of the build has on the device at a time: chosen to be small beside any device's memory,
/// not measured.
const BATCH_BYTES: usize = 256 << 20;

/// Threads of a warp.
pub(super) const WARP: usize = 32;

/// Embeddings of a batch.
pub(super) fn batch_rows(dim: usize) -> usize {
    (BATCH_BYTES / (dim * size_of::<f32>())).max(1)
}

/// Blocks of `threads` for `num` warps.
pub(super) fn blocks_of_warps(num: usize, threads: u32) -> (usize, usize) {
    ((num * WARP).div_ceil(threads as usize), 1)
}

/// The same, but no more than keep the device busy: the kernel's warps take one piece of work after another.
pub(super) fn resident_blocks(context: &Context, num: usize, threads: u32) -> (usize, usize) {
    const THREADS_OF_MULTIPROCESSOR: usize = 2048;
    let most = context.device().multiprocessors as usize * THREADS_OF_MULTIPROCESSOR / threads as usize;
    (blocks_of_warps(num, threads).0.min(most.max(1)), 1)
}
