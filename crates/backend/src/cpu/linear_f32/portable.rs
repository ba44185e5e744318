//! `linear_f32` in plain Rust: two rows by sixteen outputs.

use super::LinearF32;
use crate::cpu::tile::{
    WIDTH,
    portable::{ROWS, tile},
};

/// Rows of `y`.
pub(super) fn run(x: &[f32], linear: &LinearF32, y: &mut [f32]) {
    let (inputs, outputs) = (linear.inputs, linear.outputs);
    for panel in 0..outputs.div_ceil(WIDTH) {
        for (x, y) in x.chunks(ROWS * inputs).zip(y.chunks_mut(ROWS * outputs)) {
            // A single row is computed twice.
            let sums = tile([&x[..inputs], &x[x.len() - inputs..]], linear.panels(panel, 1));
            for (y, sums) in y.chunks_exact_mut(outputs).zip(sums) {
                let own = &mut y[panel * WIDTH..];
                let num = own.len().min(WIDTH);
                own[..num].copy_from_slice(&sums[..num]);
            }
        }
    }
}
