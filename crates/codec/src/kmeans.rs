//! Spherical k-means: unit-length centroids rounded to int8, embeddings assigned by inner product.
//!
//! ```text
//! sample (N, D) f32 --first K distinct rows--> centroids (K, D) f32 --round--> (K, D) i8, one scale
//!                     each round: assign, sum, normalize ----^
//! ```
//!
//! The initial centroids are the first `K` distinct rows of the sample (which is in random order) at unit length. Rows
//! are distinct if they differ after rounding to int8, each with its own scale: length, the sign of a zero and noise
//! below half a step do not count. If the sample has at most `K` distinct rows, each has a centroid.
//!
//! The same seed gives the same centroids for any number of threads: random rows are drawn by a seeded generator, and
//! the backend's rounds have a fixed order of additions. A centroid without members, or whose
//! members cancel out, restarts at a random row of the sample.

use crate::{Error, Progress, Result, Step, TrainOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Assignment, Backend, RoundedCentroids, round_to_int8};
use std::collections::HashSet;

/// Options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Number of centroids, at most.
    pub num_centroids: usize,
    /// Number of rounds.
    pub iterations: usize,
    /// Assignment of the sample in a round; `None` for [`Backend::assignment`].
    pub assignment: Option<Assignment>,
    /// Selects the rows at which empty cells restart.
    pub seed: u64,
}

impl From<&TrainOptions> for Run {
    fn from(&TrainOptions { num_centroids, iterations, assignment, seed, .. }: &TrainOptions) -> Self {
        Self { num_centroids, iterations, assignment, seed }
    }
}

/// Runs `iterations` rounds over `sample (N, D) f32` and returns `num_centroids` centroids, or one per distinct row if
/// the sample has fewer of them. The sample must be in random order, since its first distinct rows are the initial
/// centroids.
///
/// # Errors
/// [`Error::Cancelled`] if `progress` cancels after a round; [`Error::Backend`] if the device fails.
///
/// # Panics
/// If `dim` is 0, or the sample is empty or not a whole number of rows.
pub fn kmeans<B: Backend>(
    backend: &B,
    dim: usize,
    sample: &[f32],
    &Run { num_centroids, iterations, assignment, seed }: &Run,
    progress: &dyn Progress,
) -> Result<RoundedCentroids> {
    let n = sample.len() / dim;
    assert!(n > 0 && sample.len().is_multiple_of(dim), "k-means needs whole rows, and at least one");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let starts = distinct_rows(dim, sample, num_centroids);
    let mut means = match assignment.unwrap_or_else(|| backend.assignment(starts.len())) {
        Assignment::Exact => backend.kmeans(dim, sample, &starts)?,
        Assignment::Grouped => backend.grouped_kmeans(dim, sample, &starts)?,
    };
    for iteration in 0..iterations {
        means.round(&mut || rng.random_range(0..n))?;
        progress.report(Step {
            stage: "k-means",
            unit: "rounds",
            done: iteration as u64 + 1,
            total: Some(iterations as u64),
        });
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    Ok(means.centroids()?)
}

/// Returns the numbers of the first `num` rows of the sample that differ in int8, or of all if there are fewer.
fn distinct_rows(dim: usize, sample: &[f32], num: usize) -> Vec<usize> {
    let mut rows = Vec::with_capacity(num.min(sample.len() / dim));
    let mut seen = HashSet::new();
    let mut rounded = vec![0; dim];
    for (number, row) in sample.chunks_exact(dim).enumerate() {
        if seen.len() == num {
            break;
        }
        round_to_int8(row, &mut rounded);
        if !seen.contains(&rounded[..]) {
            seen.insert(rounded.clone().into_boxed_slice());
            rows.push(number);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_backend::Cpu;
    use std::sync::atomic::{AtomicU64, Ordering};

    const DIM: usize = 8;

    /// A row of length 1 along an axis.
    fn row(axis: usize) -> [f32; DIM] {
        std::array::from_fn(|d| f32::from(u8::from(d == axis)))
    }

    fn of(num_centroids: usize) -> Run {
        Run { num_centroids, iterations: 4, assignment: None, seed: 42 }
    }

    fn centroids(sample: &[f32], num: usize) -> Vec<Vec<i8>> {
        let found = kmeans(&Cpu::new().unwrap(), DIM, sample, &of(num), &()).unwrap();
        found.centroids.chunks_exact(DIM).map(<[i8]>::to_vec).collect()
    }

    fn has_axis(centroids: &[Vec<i8>], axis: usize) -> bool {
        centroids.iter().any(|c| c[axis] > 120 && c.iter().filter(|c| c.unsigned_abs() > 9).count() == 1)
    }

    /// Two initial centroids differ by themselves, but not beside the longer components of the third, with which they
    /// share a scale. So the first of them wins every tie, and the second has no members at first.
    #[test]
    fn an_empty_cell_restarts() {
        let broad = |last: f32| [1.0, 1.0, 1.0, 1.0, 1.0, last, 0.0, 0.0];
        let sample = [vec![broad(1.0), broad(0.993), row(6)], vec![row(7); 40]].concat().concat();
        let found = centroids(&sample, 3);
        assert!(has_axis(&found, 6) && has_axis(&found, 7), "{found:?}");
        assert!(found.iter().any(|c| c[..6].iter().all(|&x| x > 40)), "{found:?}");
    }

    #[test]
    fn a_cell_whose_rows_cancel_out_restarts() {
        let found = centroids(&[row(0), row(0).map(|x| -x)].concat(), 1);
        assert_eq!(found[0][0].unsigned_abs(), 127);
    }

    /// The rows of an axis differ in length, in the sign of their zeros and by less than half a step.
    #[test]
    fn initial_centroids_are_distinct() {
        let axes = [0, 0, 0, 1, 0, 2, 1, 3, 3];
        let sample = axes.iter().enumerate().flat_map(|(i, &axis)| {
            let mut row = row(axis).map(|x| if x == 0.0 && i % 2 == 0 { -0.0 } else { x * (1 + i % 3) as f32 });
            row[7] = 1e-6 * (i % 4) as f32;
            row
        });
        let sample: Vec<f32> = sample.collect();
        for num in [4, 9] {
            let found = centroids(&sample, num);
            assert!(found.len() == 4 && (0..4).all(|axis| has_axis(&found, axis)), "{found:?}");
        }
    }

    /// Progress that cancels at the `n`-th call of `is_cancelled`.
    struct CancelAfter(AtomicU64);

    impl Progress for CancelAfter {
        fn report(&self, _: Step) {}

        fn is_cancelled(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }

    #[test]
    fn it_can_be_cancelled_after_each_round() {
        let run = |n| {
            let progress = CancelAfter(AtomicU64::new(n));
            kmeans(&Cpu::new().unwrap(), DIM, &[row(0), row(1)].concat(), &of(2), &progress)
        };
        for n in 1..=4 {
            assert!(matches!(run(n), Err(Error::Cancelled)), "round {n}");
        }
        assert!(run(5).is_ok());
    }
}
