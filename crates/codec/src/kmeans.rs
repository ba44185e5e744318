//! Spherical k-means: unit centroids, assignment by inner product.
//!
//! In: a sample `(N, D) f32` of unit embeddings in random order, `K`, a seed. Out: `(K, D) f32`, unit rows.
//! The same seed gives the same centroids whatever the number of threads: initial points are drawn by
//! a seeded generator, and the backend's `assign` and `centroid_sums` have a fixed order of additions.
//! A centroid that lost all its members starts again at a random point of the sample.

use crate::Progress;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::Backend;

/// Runs `iterations` rounds over `sample (N, D)`.
///
/// # Panics
/// If the sample is empty or no whole number of rows.
pub fn kmeans<B: Backend>(
    backend: &B,
    dim: usize,
    sample: &[f32],
    num_centroids: usize,
    iterations: usize,
    seed: u64,
    progress: &dyn Progress,
) -> Vec<f32> {
    let n = sample.len() / dim;
    assert!(n > 0 && sample.len().is_multiple_of(dim), "k-means needs whole rows, and at least one");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut centroids = Vec::with_capacity(num_centroids * dim);
    // The sample is in random order, so its first rows are a random choice; beyond them, repeat at random.
    for c in 0..num_centroids {
        let row = if c < n { c } else { rng.random_range(0..n) };
        centroids.extend_from_slice(&sample[row * dim..][..dim]);
    }
    for iteration in 0..iterations {
        let codes = backend.assign(dim, sample, &centroids);
        let (sums, counts) = backend.centroid_sums(dim, sample, &codes, num_centroids);
        centroids = sums;
        for (c, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
            if counts[c] == 0 || !normalize(centroid) {
                let row = rng.random_range(0..n);
                centroid.copy_from_slice(&sample[row * dim..][..dim]);
            }
        }
        progress.report("k-means", iteration as u64 + 1, iterations as u64);
    }
    centroids
}

/// Scales a row to unit length; false, and untouched, where it has none.
fn normalize(row: &mut [f32]) -> bool {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let usable = norm.is_finite() && norm > 1e-12;
    if usable {
        row.iter_mut().for_each(|x| *x /= norm);
    }
    usable
}
