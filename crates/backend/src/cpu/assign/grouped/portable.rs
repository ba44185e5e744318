//! The second level of `assign` by groups in plain Rust.

use super::{Nearest16, Search};
use crate::cpu::dots::portable::Wide;

/// Merges the products of the picked rows with the centroids of a group into `best`.
pub(super) fn run(search: &Search<'_>, best: &mut [Nearest16]) {
    let &Search { part, codes, rows, picked } = search;
    let (dim, lanes) = (part.dim, part.lanes);
    let gathered: Vec<i8> = picked.iter().flat_map(|&row| &rows[row as usize * dim..][..dim]).copied().collect();
    let (rows, mut centroid) = (Wide::new(dim, &gathered), Wide::zeros(dim, 1));
    for (panel, codes) in part.data.chunks_exact(lanes * dim).zip(codes.chunks_exact(lanes)) {
        for (lane, &code) in codes.iter().enumerate() {
            // Copies one centroid out of its panel, whose layout is for SIMD registers.
            for (step, four) in panel.chunks_exact(4 * lanes).enumerate() {
                centroid.set(0, 4 * step, &four[4 * lane..][..4]);
            }
            rows.dots(centroid.row(0), |i, product| {
                let best = &mut best[picked[i] as usize];
                if (product, best.codes[0]) > (best.products[0], code) {
                    (best.products[0], best.codes[0]) = (product, code);
                }
            });
        }
    }
}
