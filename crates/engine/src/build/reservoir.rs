//! Uniform sample of a stream of rows, in bounded memory.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Reservoir sampling (algorithm R): each of the pushed rows is in the sample with the same probability.
pub(crate) struct Reservoir {
    rows: Vec<f32>,
    dim: usize,
    capacity: usize,
    seen: usize,
    rng: ChaCha8Rng,
}

impl Reservoir {
    /// Creates a reservoir of at most `capacity` rows of `dim` components.
    ///
    /// Memory for `expected` rows, at most `capacity`, is reserved at once: growth by doubling would hold two copies,
    /// and pages that are never touched cost nothing.
    pub(crate) fn new(dim: usize, capacity: usize, expected: usize, rng: ChaCha8Rng) -> Self {
        Self { rows: Vec::with_capacity(capacity.min(expected) * dim), dim, capacity, seen: 0, rng }
    }

    /// Offers rows `(N, D)`.
    pub(crate) fn push(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.dim) {
            if self.seen < self.capacity {
                self.rows.extend_from_slice(row);
            } else {
                // With this row, `seen + 1` rows were offered: it is kept if its slot is below the capacity.
                let slot = self.rng.random_range(0..=self.seen);
                if slot < self.capacity {
                    self.rows[slot * self.dim..][..self.dim].copy_from_slice(row);
                }
            }
            self.seen += 1;
        }
    }

    /// Number of rows that were offered.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// The sample `(N, D)`.
    pub(crate) fn into_rows(self) -> Vec<f32> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn sample(capacity: usize, rows: usize, seed: u64) -> Vec<usize> {
        let mut reservoir = Reservoir::new(2, capacity, rows, ChaCha8Rng::seed_from_u64(seed));
        let data: Vec<f32> = (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect();
        data.chunks(6).for_each(|some| reservoir.push(some));
        assert_eq!(reservoir.seen(), rows);
        let rows = reservoir.into_rows();
        assert!(rows.chunks_exact(2).all(|row| row[1] == -row[0]), "rows stay whole");
        rows.chunks_exact(2).map(|row| row[0] as usize).collect()
    }

    #[test]
    fn few_rows_are_all_kept() {
        assert_eq!(sample(5, 3, 1), [0, 1, 2]);
        assert_eq!(sample(5, 5, 1), [0, 1, 2, 3, 4]);
        assert!(sample(0, 5, 1).is_empty());
    }

    /// The reservoir keeps 3 of 4 rows, so each is in 3 of 4 samples. If the last row's slot were drawn from one place
    /// too few, it would be in all samples. The limits are about 6 standard deviations from three quarters.
    #[test]
    fn every_row_is_kept_as_often() {
        const SAMPLES: usize = 20_000;
        let mut kept = [0usize; 4];
        for seed in 0..SAMPLES as u64 {
            let sample = sample(3, 4, seed);
            assert_eq!(sample.len(), 3);
            sample.iter().for_each(|&row| kept[row] += 1);
        }
        assert!(kept.iter().all(|&count| count.abs_diff(SAMPLES * 3 / 4) < 370), "{kept:?}");
    }
}
