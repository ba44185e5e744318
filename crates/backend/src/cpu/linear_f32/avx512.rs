//! `linear_f32` with AVX-512: twelve rows by thirty-two outputs.

use super::LinearF32;
use crate::cpu::tile::{
    WIDTH,
    avx512::{ROWS, tile},
};
use std::arch::x86_64::*;

/// Rows of `y`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(x: &[f32], linear: &LinearF32, y: &mut [f32]) {
    for first in (0..linear.outputs.div_ceil(WIDTH)).step_by(2) {
        if (first + 1) * WIDTH < linear.outputs {
            panels::<2>(x, linear, first, y);
        } else {
            panels::<1>(x, linear, first, y);
        }
    }
}

/// The columns of `V` panels.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn panels<const V: usize>(x: &[f32], linear: &LinearF32, first: usize, y: &mut [f32]) {
    // The next panels are prefetched while rows are multiplied with these.
    let next = linear.panels.as_ptr().wrapping_add((first + V) * linear.inputs * WIDTH);
    for (tile, (x, y)) in x.chunks(ROWS * linear.inputs).zip(y.chunks_mut(ROWS * linear.outputs)).enumerate() {
        let ahead = next.wrapping_add(tile.min(V) * linear.inputs * WIDTH);
        match x.len() / linear.inputs {
            0..=4 => rows::<4, V>(x, linear, first, ahead, y),
            5..=8 => rows::<8, V>(x, linear, first, ahead, y),
            _ => rows::<ROWS, V>(x, linear, first, ahead, y),
        }
    }
}

/// The columns of `V` panels in up to `R` rows, at least one.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn rows<const R: usize, const V: usize>(x: &[f32], linear: &LinearF32, first: usize, ahead: *const f32, y: &mut [f32]) {
    let (inputs, outputs) = (linear.inputs, linear.outputs);
    let data = linear.panels(first, V);
    // Missing rows are replaced by the last one.
    let row = |r: usize| x[(r * inputs).min(x.len() - inputs)..][..inputs].as_ptr();
    // SAFETY: each row is a slice of `inputs` floats, and `data` has `V` panels of `16 * inputs`.
    let sums = unsafe { tile::<R, V>(std::array::from_fn(row), data.as_ptr(), inputs, Some(ahead)) };
    for (y, sums) in y.chunks_exact_mut(outputs).zip(sums) {
        for (v, sums) in sums.into_iter().enumerate() {
            let own = &mut y[(first + v) * WIDTH..];
            let mask = if own.len() < WIDTH { (1u16 << own.len()) - 1 } else { u16::MAX };
            // SAFETY: the mask ends with the row.
            unsafe { _mm512_mask_storeu_ps(own.as_mut_ptr(), mask, sums) };
        }
    }
}
