//! Spherical k-means: unit centroids, rounded to int8, assignment by inner product.
//!
//! In: a sample `(N, D) f32` of unit embeddings in random order, `K`, a seed. Out: `(K, D) i8` and their scale.
//! The same seed gives the same centroids whatever the number of threads: initial points are drawn by
//! a seeded generator, and the backend's `assign` and `centroid_sums` have a fixed order of additions.
//! A centroid that lost all its members starts again at a random point of the sample.

use crate::{Progress, Result, Step};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, round_to_int8};
use std::sync::Arc;

/// Runs `iterations` rounds over `sample (N, D)`; fails where the backend does.
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
) -> Result<Rounded> {
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
        let codes = backend.assign(dim, sample, &round(&centroids).centroids)?;
        let (sums, counts) = backend.centroid_sums(dim, sample, &codes, num_centroids)?;
        centroids = sums;
        for (c, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
            if counts[c] == 0 || !normalize(centroid) {
                let row = rng.random_range(0..n);
                centroid.copy_from_slice(&sample[row * dim..][..dim]);
            }
        }
        progress.report(Step {
            stage: "k-means",
            unit: "rounds",
            done: iteration as u64 + 1,
            total: Some(iterations as u64),
        });
    }
    Ok(round(&centroids))
}

/// Centroids as an index keeps them.
#[derive(Clone, Debug)]
pub struct Rounded {
    /// `(K, D) i8`, within -127..=127.
    pub centroids: Arc<[i8]>,
    /// One step as a real number.
    pub scale: f32,
}

/// Rounds centroids to int8 with one scale; residuals are taken from the rounded ones, so nothing is lost.
fn round(centroids: &[f32]) -> Rounded {
    let mut rounded = vec![0; centroids.len()];
    let scale = round_to_int8(centroids, &mut rounded);
    Rounded { centroids: rounded.into(), scale: if scale > 0.0 { scale } else { 1.0 } }
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
