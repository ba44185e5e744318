//! `centroid_sums`: kernels/centroid_sums.cu.

use super::{
    Cuda,
    calls::CudaStream,
    constants::{Constant, WARP},
    context::{Buffer, Context},
    grid::{batch_rows, blocks_of_warps},
    modules::{Kernel, KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;
use std::sync::Arc;

const THREADS: u32 = 128;
/// Threads of the block that makes places of counts.
const SCAN_THREADS: u32 = (WARP * WARP) as u32;
/// Values of a digit of the sort.
const DIGITS: usize = 256;
/// Bits of a digit.
const DIGIT_BITS: u32 = 8;
/// Codes that a warp counts and moves: enough for few counts, and few enough for many warps.
const SORT_TILE: usize = 512;

pub(super) const CONSTANTS: [Constant; 4] = [
    ("THREADS", THREADS as i64),
    ("SCAN_THREADS", SCAN_THREADS as i64),
    ("DIGITS", DIGITS as i64),
    ("SORT_TILE", SORT_TILE as i64),
];

/// The kernels of `centroid_sums`.
#[derive(Debug)]
pub(super) struct SumKernels {
    context: Arc<Context>,
    count_digits: Kernel,
    scan: Kernel,
    move_codes: Kernel,
    starts: Kernel,
    centroid_sums: Kernel,
}

/// Numbers of embeddings, sorted by their codes.
#[derive(Debug)]
pub(super) struct Sorted {
    /// `(N)`: by code, then ascending.
    order: Buffer<u32>,
    /// Start of each code's numbers in `order`, `(K + 1)`.
    starts: Buffer<u32>,
}

impl SumKernels {
    pub(super) fn new(cuda: &Cuda) -> Result<Self> {
        let kernel = |name| cuda.modules.kernel(Op::CentroidSums, KernelVariant::NONE, name);
        Ok(Self {
            context: Arc::clone(&cuda.context),
            count_digits: kernel("count_digits")?,
            scan: kernel("scan")?,
            move_codes: kernel("move")?,
            starts: kernel("starts")?,
            centroid_sums: kernel("centroid_sums")?,
        })
    }

    /// Bytes that a sort of `rows` codes allocates at most.
    pub(super) fn sort_bytes(rows: usize, num_centroids: usize) -> u64 {
        4 * (4 * rows + rows.div_ceil(SORT_TILE) * DIGITS + num_centroids + 1) as u64
    }

    /// Sorts the numbers of embeddings by `codes (N)`, which are below `num_centroids`.
    pub(super) fn sort(&self, stream: &Arc<CudaStream>, codes: &Buffer<u32>, num_centroids: usize) -> Result<Sorted> {
        let allocate = |len: usize| self.context.allocate_on::<u32>(stream, len);
        let (rows, tiles) = (codes.len(), codes.len().div_ceil(SORT_TILE));
        let (num, num_tiles, num_counts) = (rows as u32, tiles as u32, (DIGITS * tiles) as u32);
        let counts = allocate(DIGITS * tiles)?;
        let pairs = [(allocate(rows)?, allocate(rows)?), (allocate(rows)?, allocate(rows)?)];
        let (blocks, null) = (blocks_of_warps(tiles, THREADS), 0u64);
        let passes = passes(num_centroids);
        for pass in 0..passes {
            let shift = pass * DIGIT_BITS;
            let (to, from) = (&pairs[pass as usize % 2], &pairs[(pass as usize + 1) % 2]);
            let (codes, numbers) = match pass {
                0 => (codes.argument(), value(&null)),
                _ => (from.0.argument(), from.1.argument()),
            };
            let of_counts = [counts.argument(), codes, value(&shift), value(&num), value(&num_tiles)];
            let of_scan = [counts.argument(), value(&num_counts)];
            let of_move = [to.0.argument(), to.1.argument(), counts.argument(), codes, numbers];
            let of_move = [&of_move[..], &[value(&shift), value(&num), value(&num_tiles)]].concat();
            // SAFETY: the arguments match the kernels' parameters; the arrays are (DIGITS, tiles) and (N). Counts of
            // all tiles add up to N, so places are below it.
            unsafe {
                self.count_digits.launch_on(stream, blocks, THREADS, &of_counts)?;
                self.scan.launch_on(stream, (1, 1), SCAN_THREADS, &of_scan)?;
                self.move_codes.launch_on(stream, blocks, THREADS, &of_move)?;
            }
        }
        let (starts, num_codes) = (allocate(num_centroids + 1)?, num_centroids as u32);
        let [even, odd] = pairs;
        let (sorted, order) = if passes % 2 == 1 { even } else { odd };
        let arguments = [starts.argument(), sorted.argument(), value(&num), value(&num_codes)];
        let blocks = ((num_centroids + 1).div_ceil(THREADS as usize), 1);
        // SAFETY: the arguments match the kernel's parameters; the arrays are (K + 1) and (N).
        unsafe { self.starts.launch_on(stream, blocks, THREADS, &arguments)? };
        Ok(Sorted { order, starts })
    }

    /// Adds `embeddings (N, D)` to `sums (K, D)`.
    pub(super) fn add(
        &self,
        stream: &CudaStream,
        sums: &Buffer<f64>,
        embeddings: &Buffer<f32>,
        sorted: &Sorted,
        dim: usize,
    ) -> Result<()> {
        let (num_centroids, width) = (sorted.starts.len() - 1, dim as u32);
        assert!(sums.len() == num_centroids * dim && embeddings.len() == sorted.order.len() * dim, "whole rows");
        let (order, starts) = (&sorted.order, &sorted.starts);
        let arguments = [sums.argument(), embeddings.argument(), order.argument(), starts.argument(), value(&width)];
        // SAFETY: the arguments match the kernel's parameters; numbers in `order` are below N, and `starts` ascend to
        // N.
        unsafe { self.centroid_sums.launch_on(stream, (num_centroids, 1), THREADS, &arguments) }
    }
}

/// Number of digits of the largest code, at least one.
fn passes(num_centroids: usize) -> u32 {
    let bits = usize::BITS - num_centroids.saturating_sub(1).leading_zeros();
    bits.div_ceil(DIGIT_BITS).max(1)
}

/// Launches [`crate::Backend::centroid_sums`].
///
/// # Panics
/// If there is not one code per embedding, or a code is not below `num_centroids`.
pub(super) fn centroid_sums(
    cuda: &Cuda,
    dim: usize,
    embeddings: &[f32],
    codes: &[u32],
    num_centroids: usize,
) -> Result<(Vec<f32>, Vec<u32>)> {
    assert_eq!(embeddings.len(), codes.len() * dim, "one code for each embedding");
    let mut counts = vec![0; num_centroids];
    codes.iter().for_each(|&code| counts[code as usize] += 1);
    let (kernels, stream) = (SumKernels::new(cuda)?, cuda.context.stream());
    let sums = cuda.context.zeros::<f64>(num_centroids * dim)?;
    let batch = batch_rows(dim);
    for (embeddings, codes) in embeddings.chunks(batch * dim).zip(codes.chunks(batch)) {
        let (embeddings, codes) = (cuda.context.upload(embeddings)?, cuda.context.upload(codes)?);
        kernels.add(stream, &sums, &embeddings, &kernels.sort(stream, &codes, num_centroids)?, dim)?;
    }
    Ok((sums.download()?.into_iter().map(|sum| sum as f32).collect(), counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_has_a_pass_for_each_digit_of_the_largest_code() {
        let all = [(1, 1), (2, 1), (256, 1), (257, 2), (1 << 16, 2), ((1 << 16) + 1, 3), (1 << 18, 3), (1 << 24, 3)];
        for (num_centroids, expected) in all {
            assert_eq!(passes(num_centroids), expected, "{num_centroids}");
        }
    }
}
