//! Sums of the embeddings of each code: the second half of a k-means step.
//!
//! Embeddings are sorted by code (a counting sort, which keeps the order within a code), then the embeddings of each
//! code are added in f64, in that order. Threads divide the centroids, never the embeddings of one centroid, so the
//! number of threads does not change a sum.

use rayon::prelude::*;

/// Centroids per task.
const BLOCK_CENTROIDS: usize = 16;

/// `embeddings (N, D) f32`, `codes (N) u32` -> `sums (K, D) f32`, `counts (K) u32`.
///
/// # Panics
/// If there is not one code for each embedding, a code is not below `num_centroids`, or there are 2^32
/// embeddings or more.
pub(super) fn centroid_sums(
    dim: usize,
    embeddings: &[f32],
    codes: &[u32],
    num_centroids: usize,
) -> (Vec<f32>, Vec<u32>) {
    assert!(dim > 0 && embeddings.len() == codes.len() * dim, "one code for each embedding of {dim} components");
    assert!(codes.len() <= u32::MAX as usize, "embeddings are counted in u32");
    let mut counts = vec![0u32; num_centroids];
    for &code in codes {
        counts[code as usize] += 1;
    }
    let (order, starts) = sort_by_code(codes, &counts);
    let mut sums = vec![0f32; num_centroids * dim];
    sums.par_chunks_mut(BLOCK_CENTROIDS * dim).enumerate().for_each(|(block, sums)| {
        let mut sum = vec![0f64; dim];
        for (out, code) in sums.chunks_exact_mut(dim).zip(block * BLOCK_CENTROIDS..) {
            sum.fill(0.0);
            for &embedding in &order[starts[code]..starts[code + 1]] {
                let row = &embeddings[embedding as usize * dim..][..dim];
                sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            out.iter_mut().zip(&sum).for_each(|(out, &sum)| *out = sum as f32);
        }
    });
    (sums, counts)
}

/// Returns the indices of the embeddings, `(N)`, code by code and ascending within a code, and the position of each
/// code's first index, `(K + 1)`.
fn sort_by_code(codes: &[u32], counts: &[u32]) -> (Vec<u32>, Vec<usize>) {
    let mut starts = vec![0usize; counts.len() + 1];
    for (code, &count) in counts.iter().enumerate() {
        starts[code + 1] = starts[code] + count as usize;
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; codes.len()];
    for (embedding, &code) in codes.iter().enumerate() {
        order[next[code as usize]] = embedding as u32;
        next[code as usize] += 1;
    }
    (order, starts)
}
