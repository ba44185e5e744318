//! `centroid_sums`: kernels/centroid_sums.cu.

use super::{
    Cuda,
    constants::Constant,
    grid::batch_rows,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 1] = [("THREADS", THREADS as i64)];

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
    let kernel = cuda.modules.kernel(Op::CentroidSums, KernelVariant::NONE, "centroid_sums")?;
    let sums = cuda.context.zeros::<f64>(num_centroids * dim)?;
    let mut counts = vec![0; num_centroids];
    let (batch, width) = (batch_rows(dim), dim as u32);
    for (embeddings, codes) in embeddings.chunks(batch * dim).zip(codes.chunks(batch)) {
        let (order, starts) = by_code(codes, num_centroids);
        counts.iter_mut().zip(starts.windows(2)).for_each(|(count, ends)| *count += ends[1] - ends[0]);
        let embeddings = cuda.context.upload(embeddings)?;
        let (order, starts) = (cuda.context.upload(&order)?, cuda.context.upload(&starts)?);
        let arguments = [sums.argument(), embeddings.argument(), order.argument(), starts.argument(), value(&width)];
        // SAFETY: the arguments match the kernel's parameters; numbers in `order` are below the batch's length, and
        // `starts` ascend to it.
        unsafe { kernel.launch((num_centroids, 1), THREADS, &arguments)? };
    }
    Ok((sums.download()?.into_iter().map(|sum| sum as f32).collect(), counts))
}

/// Returns the positions in `codes`, sorted by code and then ascending, `(N)`, and the start of each code's positions
/// in that list, `(K + 1)`.
fn by_code(codes: &[u32], num_centroids: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; num_centroids + 1];
    codes.iter().for_each(|&code| starts[code as usize + 1] += 1);
    (0..num_centroids).for_each(|code| starts[code + 1] += starts[code]);
    let (mut next, mut order) = (starts.clone(), vec![0; codes.len()]);
    for (number, &code) in (0..).zip(codes) {
        order[next[code as usize] as usize] = number;
        next[code as usize] += 1;
    }
    (order, starts)
}
