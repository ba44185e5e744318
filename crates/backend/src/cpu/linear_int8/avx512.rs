//! `linear_int8` with AVX-512: eight rows by thirty-two outputs.

use super::{LinearInt8, RoundedRows};
use crate::cpu::dots::avx512::{LANES, ROWS, as_unsigned, tile};
use std::arch::x86_64::*;

run_by_panels!("avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni");

/// The columns of `V` panels.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn panels<const V: usize>(x: &RoundedRows, linear: &LinearInt8, first: usize, y: &mut [f32]) {
    let (width, outputs) = (linear.panels.width(), linear.outputs);
    let data = linear.panels.panels(first, V);
    // Rows are `x + 128`, so a product starts at -128 times the sum of its weights.
    let lower: [__m512i; V] = std::array::from_fn(|v| {
        // SAFETY: a panel has a register of sums.
        let sums = unsafe { _mm512_loadu_si512(linear.panels.sums(first + v).as_ptr().cast()) };
        _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
    });
    let of_outputs: [__m512; V] = std::array::from_fn(|v| {
        let scales = &linear.scales[(first + v) * LANES..][..LANES];
        // SAFETY: a register of scales.
        unsafe { _mm512_loadu_ps(scales.as_ptr()) }
    });
    for (group, (scales, y)) in x.scales.chunks(ROWS).zip(y.chunks_mut(ROWS * outputs)).enumerate() {
        let row = |r: usize| x.rows[(group * ROWS + r.min(scales.len() - 1)) * width..][..width].as_ptr().cast();
        // The next panels are prefetched while rows are multiplied with these.
        let ahead = data.as_ptr().wrapping_add((V + group.min(V)) * LANES * width);
        // SAFETY: each row is a slice of `width` bytes, and `data` has `V` panels of `16 * width`.
        let sums = unsafe {
            tile::<ROWS, V>(std::array::from_fn(row), data.as_ptr(), width, lower, as_unsigned(), Some(ahead))
        };
        for ((y, sums), &scale) in y.chunks_exact_mut(outputs).zip(sums).zip(scales) {
            for (v, sums) in sums.into_iter().enumerate() {
                let scale = _mm512_mul_ps(_mm512_set1_ps(scale), of_outputs[v]);
                let values = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale);
                let own = &mut y[(first + v) * LANES..];
                let mask = if own.len() < LANES { (1u16 << own.len()) - 1 } else { u16::MAX };
                // SAFETY: the mask ends with the row.
                unsafe { _mm512_mask_storeu_ps(own.as_mut_ptr(), mask, values) };
            }
        }
    }
}
