//! `products` in plain Rust.

use crate::cpu::{assign::Part, dots::portable::Wide};

/// `rows (n, D) i8` -> `products (n, K) i32`.
pub(super) fn run(rows: &[i8], part: Part<'_>, products: &mut [i32]) {
    let (dim, lanes, num) = (part.dim, part.lanes, part.sums.len());
    let (rows, mut centroid) = (Wide::new(dim, rows), Wide::zeros(dim, 1));
    for (p, panel) in part.data.chunks_exact(lanes * dim).enumerate() {
        for lane in 0..lanes {
            // Copies one centroid out of its panel, whose layout is for SIMD registers.
            for (step, four) in panel.chunks_exact(4 * lanes).enumerate() {
                centroid.set(0, 4 * step, &four[4 * lane..][..4]);
            }
            rows.dots(centroid.row(0), |i, product| products[i * num + p * lanes + lane] = product);
        }
    }
}
