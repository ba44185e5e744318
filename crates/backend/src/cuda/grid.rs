//! The size of a launch: batches of embeddings, and blocks for a number of warps.

use super::{constants::WARP, context::Context};

/// Bytes of embeddings that an op has on the device at a time (`assign`, `centroid_sums`, `compress`, `decompress`,
/// `maxsim_f32`): small compared with the memory of any device. Other sizes were not measured.
pub(super) const BATCH_BYTES: usize = 256 << 20;

/// Returns the number of embeddings in a batch.
pub(super) fn batch_rows(dim: usize) -> usize {
    (BATCH_BYTES / (dim * size_of::<f32>())).max(1)
}

/// Returns the grid of blocks of `threads` that has at least `num` warps.
pub(super) fn blocks_of_warps(num: usize, threads: u32) -> (usize, usize) {
    ((num * WARP).div_ceil(threads as usize), 1)
}

/// Returns the grid of blocks of `threads` for `num` warps, at most as many blocks as keep the device busy: each warp
/// of the kernel takes one piece of work after another.
pub(super) fn resident_blocks(context: &Context, num: usize, threads: u32) -> (usize, usize) {
    const THREADS_OF_MULTIPROCESSOR: usize = 2048;
    let most = context.device().multiprocessors as usize * THREADS_OF_MULTIPROCESSOR / threads as usize;
    (blocks_of_warps(num, threads).0.min(most.max(1)), 1)
}
