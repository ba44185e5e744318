//! `linear_int8` in plain Rust.

use super::{LinearInt8, RoundedRows};
use crate::cpu::dots::portable::Wide;

/// Rows of `y`.
pub(super) fn run(x: &[f32], linear: &LinearInt8, y: &mut [f32], rounded: &mut RoundedRows) {
    rounded.fill(x, linear);
    let (width, lanes) = (linear.panels.width(), linear.panels.lanes());
    let (rows, mut weights) = (Wide::new(width, &rounded.rows), Wide::zeros(width, 1));
    for output in 0..linear.outputs {
        // Copies one row of weights out of its panel, whose layout is for SIMD registers.
        let panel = linear.panels.panels(output / lanes, 1);
        for (step, four) in panel.chunks_exact(4 * lanes).enumerate() {
            weights.set(0, 4 * step, &four[4 * (output % lanes)..][..4]);
        }
        rows.dots(weights.row(0), |n, dot| {
            y[n * linear.outputs + output] = dot as f32 * (rounded.scales[n] * linear.scales[output]);
        });
    }
}
