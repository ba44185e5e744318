//! `linear_f32` with AVX2 and FMA: six rows by sixteen outputs.

use super::LinearF32;
use crate::cpu::tile::{
    WIDTH,
    avx2::{ROWS, tile},
};
use std::arch::x86_64::*;

/// Rows of `y`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(x: &[f32], linear: &LinearF32, y: &mut [f32]) {
    for panel in 0..linear.outputs.div_ceil(WIDTH) {
        // The next panel is prefetched while rows are multiplied with this one.
        let next = linear.panels.as_ptr().wrapping_add((panel + 1) * linear.inputs * WIDTH);
        for (tile, (x, y)) in x.chunks(ROWS * linear.inputs).zip(y.chunks_mut(ROWS * linear.outputs)).enumerate() {
            let ahead = next.wrapping_add(tile.min(1) * linear.inputs * WIDTH);
            match x.len() / linear.inputs {
                0..=2 => rows::<2>(x, linear, panel, ahead, y),
                3..=4 => rows::<4>(x, linear, panel, ahead, y),
                _ => rows::<ROWS>(x, linear, panel, ahead, y),
            }
        }
    }
}

/// The columns of a panel in up to `R` rows, at least one.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn rows<const R: usize>(x: &[f32], linear: &LinearF32, panel: usize, ahead: *const f32, y: &mut [f32]) {
    let (inputs, outputs) = (linear.inputs, linear.outputs);
    let data = linear.panels(panel, 1);
    // Missing rows are replaced by the last one.
    let row = |r: usize| x[(r * inputs).min(x.len() - inputs)..][..inputs].as_ptr();
    // SAFETY: each row is a slice of `inputs` floats, and `data` is a panel of `16 * inputs`.
    let sums = unsafe { tile::<R>(std::array::from_fn(row), data.as_ptr(), inputs, Some(ahead)) };
    for (y, [low, high]) in y.chunks_exact_mut(outputs).zip(sums) {
        let own = &mut y[panel * WIDTH..];
        let mut all = [0f32; WIDTH];
        let out = if own.len() < WIDTH { &mut all[..] } else { &mut own[..WIDTH] };
        // SAFETY: sixteen floats are two registers.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), low);
            _mm256_storeu_ps(out.as_mut_ptr().add(WIDTH / 2), high);
        }
        if own.len() < WIDTH {
            let num = own.len();
            own.copy_from_slice(&all[..num]);
        }
    }
}
