//! The columns of the `keep` largest products of each row, in ascending order; among equals the lower columns.
//! `products (n, K) i32` -> `(n, min(keep, K)) u32`.
//!
//! Bisections over the values, whose counts are vector code, replace a selection that moves elements.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::Isa;

/// Products of a row whose maximum is compared first.
const CHUNK: usize = 8;
/// Least product that is allowed: that of two rows of at most 2^15 components is above it.
pub(super) const LEAST: i32 = -(1 << 29);

/// Appends the columns of each row of `products (n, width) i32`, which are within [`LEAST`] and `-LEAST`.
///
/// # Panics
/// If `keep` or `width` is 0.
pub(super) fn largest(isa: Isa, products: &[i32], width: usize, keep: usize, columns: &mut Vec<u32>) {
    assert!(keep > 0 && width > 0, "columns to keep");
    dispatch!(isa, products, width, keep, columns);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Sorts each row; few distinct values make many ties.
    #[test]
    fn the_largest_are_those_of_a_sort() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (width, keep, range) in [
            (1, 1, 9),
            (7, 3, 3),
            (64, 64, 9),
            (65, 32, 4),
            (300, 32, 40),
            (304, 17, 1 << 29),
            (48, 32, 3),
            (320, 64, 5),
        ] {
            let products: Vec<i32> = (0..width * 9).map(|_| rng.random_range(-range..=range)).collect();
            let sorted = products.chunks(width).flat_map(|row| {
                let mut all: Vec<u32> = (0..width as u32).collect();
                all.sort_by_key(|&column| std::cmp::Reverse(row[column as usize]));
                all.truncate(keep);
                all.sort_unstable();
                all
            });
            let sorted: Vec<u32> = sorted.collect();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut found = Vec::new();
                largest(isa, &products, width, keep, &mut found);
                assert_eq!(found, sorted, "{} of {width}, {isa:?}", keep);
            }
        }
    }
}
