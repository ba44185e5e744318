//! Rotary positions: each half-pair of a head's components is turned by an angle that grows with the position.

use pulp::{Simd, WithSimd};

use super::arch;
use super::span::Span;

/// Cosines and sines; row = position, (T, head_dim / 2) each.
#[derive(Debug, Default)]
pub struct RotaryTable {
    /// Cosines.
    pub cos: Vec<f32>,
    /// Sines.
    pub sin: Vec<f32>,
    half: usize,
}

impl RotaryTable {
    /// Angles `position theta^(-2i / head_dim)`, in f32 as the reference has them, for the first `len` positions.
    pub fn new(theta: f64, head_dim: usize, len: usize) -> Self {
        let half = head_dim / 2;
        let speed = |i: usize| 1.0 / theta.powf((2 * i) as f64 / head_dim as f64);
        let speeds: Vec<f32> = (0..half).map(|i| speed(i) as f32).collect();
        let angles = || (0..len).flat_map(|position| speeds.iter().map(move |speed| speed * position as f32));
        Self { cos: angles().map(f32::cos).collect(), sin: angles().map(f32::sin).collect(), half }
    }

    /// Made anew where it has fewer than `len` positions; otherwise it was made with this `theta` and `head_dim`.
    pub(crate) fn reach(&mut self, theta: f64, head_dim: usize, len: usize) {
        if self.cos.len() < len * (head_dim / 2) {
            *self = Self::new(theta, head_dim, len);
        }
    }
}

/// Turns the queries and keys of `qkv` (N, 3H) in place; positions count from each text's start.
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
            // Queries and keys are the first two thirds of a row; values are left alone.
            for head in row[..self.width / 3 * 2].chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                    (*a, *b) = (*a * *cos - *b * *sin, *b * *cos + *a * *sin);
                }
            }
        }
    }
}
