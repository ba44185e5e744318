//! `assign` in plain Rust.

use super::{Nearest, Part};
use crate::cpu::dots::portable::Wide;

/// `rows (n, D) i8` -> `nearest (n)`.
pub(super) fn run(rows: &[i8], part: Part<'_>, nearest: &mut [Nearest]) {
    let Part { dim, lanes, .. } = part;
    let (rows, mut centroid) = (Wide::new(dim, rows), Wide::zeros(dim, 1));
    for (p, panel) in part.data.chunks_exact(lanes * dim).enumerate() {
        for lane in 0..lanes {
            // Copies one centroid out of its panel, whose layout is for SIMD registers.
            for (step, four) in panel.chunks_exact(4 * lanes).enumerate() {
                centroid.set(0, 4 * step, &four[4 * lane..][..4]);
            }
            let code = (p * lanes + lane) as u32;
            rows.dots(centroid.row(0), |i, product| {
                // Codes ascend, so ties stay with the lower one.
                if product > nearest[i].product {
                    nearest[i] = Nearest { product, code };
                }
            });
        }
    }
}
