//! `largest` in plain Rust, compiled for AVX2.

use super::portable;

/// Appends the columns of each row of `products (n, width) i32`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(products: &[i32], width: usize, keep: usize, columns: &mut Vec<u32>) {
    portable::run(products, width, keep, columns);
}
