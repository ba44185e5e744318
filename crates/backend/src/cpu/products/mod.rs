//! Int8 inner products of all rows with all centroids of a part, stored: the first level of `assign` by groups.
//! `rows (n, D) i8`, `centroids (K, D) i8`, interleaved -> `(n, K) i32`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::assign::Part;
use crate::Isa;

/// `rows (n, D) i8` -> `products (n, K) i32`; `K` is a whole number of pairs of panels.
///
/// # Panics
/// If an array has the wrong length.
pub(super) fn products(isa: Isa, rows: &[i8], part: Part<'_>, products: &mut [i32]) {
    assert!(rows.len().is_multiple_of(part.dim) && part.sums.len() * part.dim == part.data.len());
    assert!(part.sums.len().is_multiple_of(2 * part.lanes), "whole pairs of panels");
    assert_eq!(products.len(), rows.len() / part.dim * part.sums.len(), "a product of each pair");
    dispatch!(isa, rows, part, products);
}
