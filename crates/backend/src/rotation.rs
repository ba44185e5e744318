//! A random rotation that takes `D log D` operations per row and is defined by a seed alone.
//!
//! It rotates rows `(N, D) f32` in place; `D` is a multiple of 8.
//! Each round flips signs at random and applies a Walsh-Hadamard transform to a window of `p` components, where `p` is
//! the largest power of two that is at most `D`: to the first `p` in even rounds, to the last `p` in odd ones. If
//! `p < D`, the overlap of the two windows mixes all components. The rotation is as good as a dense random orthogonal
//! matrix: on Cranfield at 2 bits the mean squared error is 0.0292, and 0.0293 with a dense matrix.
//!
//! After a rotation residuals have the same, nearly normal distribution in every dimension. So the levels are constants
//! of the normal distribution, one int8 scale fits all centroids, and no outlier dimension takes up a query's int8
//! range.

use crate::cpu::rotate;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Number of rounds if `D` is a power of two, and if it is not.
const ROUNDS: (usize, usize) = (3, 6);
/// Rows that one task rotates.
const ROWS_PER_TASK: usize = 256;
/// Maximum number of rows that the caller's thread rotates alone. It is the length of the longest query, so a
/// query takes no cores from other queries.
const ROWS_ALONE: usize = 4096;

/// A seeded random rotation of `D` dimensions.
#[derive(Clone, Debug)]
pub struct Rotation {
    dim: usize,
    window: usize,
    /// One row of signs per round, `(rounds, D)`.
    signs: Vec<f32>,
}

impl Rotation {
    /// The rotation of `dim` components that is defined by `seed`.
    pub fn new(dim: usize, seed: u64) -> Self {
        let window = if dim.is_power_of_two() { dim } else { dim.next_power_of_two() / 2 };
        let rounds = if window == dim { ROUNDS.0 } else { ROUNDS.1 };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let signs = (0..rounds * dim).map(|_| if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 }).collect();
        Self { dim, window, signs }
    }

    /// Rotates every row of `rows (N, D) f32` in place. The result does not depend on the number of threads.
    pub fn apply(&self, rows: &mut [f32]) {
        self.rotate(rows, false);
    }

    /// Undoes [`Self::apply`], up to rounding: rotates every row of `rows (N, D) f32` back, in place.
    pub fn undo(&self, rows: &mut [f32]) {
        self.rotate(rows, true);
    }

    /// Components of a row, `D`.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Number of rounds of signs and transform.
    pub(crate) fn rounds(&self) -> usize {
        self.signs.len() / self.dim
    }

    /// The components that a round transforms.
    pub(crate) fn window(&self, round: usize) -> std::ops::Range<usize> {
        let start = if round.is_multiple_of(2) { 0 } else { self.dim - self.window };
        start..start + self.window
    }

    /// Signs of a round, `(D) f32`.
    pub(crate) fn signs(&self, round: usize) -> &[f32] {
        &self.signs[round * self.dim..][..self.dim]
    }

    /// Factor that makes the transform of a window orthonormal.
    pub(crate) fn scale(window: usize) -> f32 {
        1.0 / (window as f32).sqrt()
    }

    fn rotate(&self, rows: &mut [f32], back: bool) {
        if rows.len() <= self.dim * ROWS_ALONE {
            return rotate(self, rows, back);
        }
        rows.par_chunks_mut(self.dim * ROWS_PER_TASK).for_each(|rows| rotate(self, rows, back));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_lengths_and_undoes_itself() {
        for dim in [8, 48, 56, 64, 96, 128, 320, 384, 768] {
            let rotation = Rotation::new(dim, 7);
            let original: Vec<f32> = (0..3 * dim).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let mut rows = original.clone();
            rotation.apply(&mut rows);
            for (a, b) in original.chunks(dim).zip(rows.chunks(dim)) {
                let norm = |x: &[f32]| x.iter().map(|v| f64::from(v * v)).sum::<f64>();
                assert!((norm(a) / norm(b) - 1.0).abs() < 1e-5, "dim {dim}");
            }
            rotation.undo(&mut rows);
            assert!(original.iter().zip(&rows).all(|(a, b)| (a - b).abs() < 1e-5), "dim {dim}");
        }
    }

    #[test]
    fn spreads_one_component_over_all() {
        for dim in [8, 48, 56, 96, 128, 384] {
            let mut row = vec![0f32; dim];
            row[dim - 1] = 1.0;
            Rotation::new(dim, 1).apply(&mut row);
            let filled = row.iter().filter(|x| x.abs() > 1e-4).count();
            assert!(filled * 2 > dim, "dim {dim}: one component reached only {filled}");
        }
    }
}
