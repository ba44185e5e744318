//! Rotary positions: component i of a head and component i + d/2 are rotated by an angle proportional to the position.

use pulp::{Simd, WithSimd};

use super::arch;
use super::span::Span;

/// Cosines and sines by position; (T, head_dim / 2) each.
#[derive(Debug, Default)]
pub struct RotaryTable {
    /// Cosines, row-major; (T, head_dim / 2).
    pub cos: Vec<f32>,
    /// Sines, row-major; (T, head_dim / 2).
    pub sin: Vec<f32>,
    half: usize,
}

impl RotaryTable {
    /// Computes the angles `position * theta^(-2i / head_dim)` of the first `len` positions, in f32 as the reference
    /// does.
    pub fn new(theta: f64, head_dim: usize, len: usize) -> Self {
        let half = head_dim / 2;
        let frequency = |i: usize| 1.0 / theta.powf((2 * i) as f64 / head_dim as f64);
        let frequencies: Vec<f32> = (0..half).map(|i| frequency(i) as f32).collect();
        let angles =
            || (0..len).flat_map(|position| frequencies.iter().map(move |frequency| frequency * position as f32));
        Self { cos: angles().map(f32::cos).collect(), sin: angles().map(f32::sin).collect(), half }
    }

    /// Extends the table to `len` positions. `theta` and `head_dim` are the same in every call.
    pub(crate) fn reach(&mut self, theta: f64, head_dim: usize, len: usize) {
        if self.cos.len() < len * (head_dim / 2) {
            *self = Self::new(theta, head_dim, len);
        }
    }
}

/// Rotates the queries and keys of `qkv` (N, 3H) in place; positions are counted from each text's start.
pub(crate) fn rotate(qkv: &mut [f32], width: usize, spans: &[Span], table: &RotaryTable) {
    arch().dispatch(RotateRows { qkv, width, spans, table });
}

struct RotateRows<'a> {
    qkv: &'a mut [f32],
    width: usize,
    spans: &'a [Span],
    table: &'a RotaryTable,
}

impl WithSimd for RotateRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let half = self.table.half;
        let positions = self.spans.iter().flat_map(|span| 0..span.len);
        for (row, position) in self.qkv.chunks_exact_mut(self.width).zip(positions) {
            let cos = &self.table.cos[position * half..][..half];
            let sin = &self.table.sin[position * half..][..half];
            // Queries and keys are the first two thirds of a row; values are not rotated.
            for head in row[..self.width / 3 * 2].chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                    (*a, *b) = (*a * *cos - *b * *sin, *b * *cos + *a * *sin);
                }
            }
        }
    }
}
