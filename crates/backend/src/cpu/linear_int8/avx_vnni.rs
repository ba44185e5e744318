//! `linear_int8` with AVX-VNNI: six rows by sixteen outputs.

use super::{
    LinearInt8, RoundedRows,
    avx2::{lower, store},
};
use crate::cpu::{
    dots::avx_vnni::{ROWS, tile},
    passages::LANES,
};
use std::arch::x86_64::__m256i;

run_by_panels!("avx2,fma,avxvnni");

/// The columns of `V` panels.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
fn panels<const V: usize>(x: &RoundedRows, linear: &LinearInt8, first: usize, y: &mut [f32]) {
    let outputs = linear.outputs;
    let lower = lower(linear, first);
    // The next panels are prefetched while rows are multiplied with these.
    let next = linear.panels.panels(first, V).as_ptr_range().end;
    for (group, (scales, y)) in x.scales.chunks(ROWS).zip(y.chunks_mut(ROWS * outputs)).enumerate() {
        let ahead = next.wrapping_add(group.min(V) * LANES * linear.panels.width());
        match scales.len() {
            1..=2 => rows::<2, V>(x, linear, group * ROWS, first, lower, ahead, y),
            3..=4 => rows::<4, V>(x, linear, group * ROWS, first, lower, ahead, y),
            _ => rows::<ROWS, V>(x, linear, group * ROWS, first, lower, ahead, y),
        }
    }
}

/// The columns of `V` panels in up to `R` rows from `start` on, at least one.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
fn rows<const R: usize, const V: usize>(
    x: &RoundedRows,
    linear: &LinearInt8,
    start: usize,
    first: usize,
    lower: [__m256i; V],
    ahead: *const i8,
    y: &mut [f32],
) {
    let (width, outputs) = (linear.panels.width(), linear.outputs);
    let data = linear.panels.panels(first, V);
    // Missing rows are replaced by the last one.
    let row = |r: usize| x.rows[(start + r).min(x.scales.len() - 1) * width..][..width].as_ptr().cast();
    // SAFETY: each row is a slice of `width` bytes, and `data` has `V` panels of `8 * width`.
    let sums = unsafe { tile::<R, V>(std::array::from_fn(row), data.as_ptr(), width, lower, ahead) };
    for ((y, sums), &scale) in y.chunks_exact_mut(outputs).zip(sums).zip(&x.scales[start..]) {
        store(sums, scale, linear, first, y);
    }
}
