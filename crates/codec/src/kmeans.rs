//! Spherical k-means: unit centroids, rounded to int8, assignment by inner product.
//!
//! In: a sample `(N, D) f32` of embeddings in random order, `K`, a seed. Out: `(K, D) i8` and their scale.
//! The first `K` distinct rows of the sample, at unit length, are the centroids to begin with, so that there is one for
//! every vector where `K` is as large as the number of distinct vectors, and none twice.
//! The same seed gives the same centroids whatever the number of threads: random points are drawn by
//! a seeded generator, and the backend's `assign` and `centroid_sums` have a fixed order of additions.
//! A centroid that lost all its members starts again at a random point of the sample.

use crate::{Progress, Result, Step};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, round_to_int8};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// Runs `iterations` rounds over `sample (N, D)`; fails where the backend does. There are `num_centroids` centroids, or
/// fewer where the sample has fewer distinct rows.
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
    let mut centroids = distinct_rows(dim, sample, num_centroids);
    let num_centroids = centroids.len() / dim;
    centroids.chunks_exact_mut(dim).for_each(|row| _ = normalize(row));
    for iteration in 0..iterations {
        let codes = backend.assign(&backend.load_centroids(dim, &round(&centroids).centroids)?, sample)?;
        let (sums, counts) = backend.centroid_sums(dim, sample, &codes, num_centroids)?;
        centroids = sums;
        for (c, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
            if counts[c] == 0 || !normalize(centroid) {
                let row = rng.random_range(0..n);
                centroid.copy_from_slice(&sample[row * dim..][..dim]);
                normalize(centroid);
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

/// The first distinct rows of the sample, `num` at most.
fn distinct_rows(dim: usize, sample: &[f32], num: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(num.min(sample.len() / dim) * dim);
    // Fingerprints: two rows that share one by chance cost a centroid, one in 2^64.
    let mut seen = HashSet::new();
    for row in sample.chunks_exact(dim) {
        if seen.len() == num {
            break;
        }
        let mut hasher = DefaultHasher::new();
        row.iter().for_each(|x| hasher.write_u32(x.to_bits()));
        if seen.insert(hasher.finish()) {
            rows.extend_from_slice(row);
        }
    }
    rows
}

/// Weights a row to unit length; false, and untouched, where it has none.
fn normalize(row: &mut [f32]) -> bool {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let usable = norm.is_finite() && norm > 1e-12;
    if usable {
        row.iter_mut().for_each(|x| *x /= norm);
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_backend::Cpu;

    const DIM: usize = 8;

    /// A row along an axis; its number makes it another one, but is nothing in int8.
    fn row(axis: usize, number: usize) -> [f32; DIM] {
        let mut row = [0.0; DIM];
        (row[axis], row[7]) = (1.0, number as f32 * 1e-6);
        row
    }

    fn centroids(sample: &[f32], num: usize) -> Vec<Vec<i8>> {
        let found = kmeans(&Cpu::new().unwrap(), DIM, sample, num, 4, 42, &()).unwrap();
        found.centroids.chunks_exact(DIM).map(<[i8]>::to_vec).collect()
    }

    fn has_axis(centroids: &[Vec<i8>], axis: usize) -> bool {
        centroids.iter().any(|c| c[axis] > 120 && c.iter().filter(|c| c.unsigned_abs() > 9).count() == 1)
    }

    #[test]
    fn an_empty_cell_is_seeded_anew() {
        // Both seeds lie on one axis, so one cell has all rows at first.
        let sample: Vec<f32> = (0..40).flat_map(|i| row(i / 20, i)).collect();
        let found = centroids(&sample, 2);
        assert!(has_axis(&found, 0) && has_axis(&found, 1), "{found:?}");
    }

    #[test]
    fn a_cell_whose_rows_cancel_out_is_seeded_anew() {
        let opposite: Vec<f32> = row(0, 0).iter().map(|x| -x).collect();
        let found = centroids(&[&row(0, 0)[..], &opposite].concat(), 1);
        assert_eq!(found[0][0].unsigned_abs(), 127);
    }

    #[test]
    fn seeds_are_distinct_and_of_unit_length() {
        let kinds = [0, 0, 0, 1, 0, 2, 1, 3, 3];
        let long: Vec<f32> = kinds.iter().flat_map(|&axis| row(axis, 0).map(|x| x * (1 + axis) as f32)).collect();
        for num in [4, 9] {
            let found = centroids(&long, num);
            assert!(found.len() == 4 && (0..4).all(|axis| has_axis(&found, axis)), "{found:?}");
        }
    }
}
