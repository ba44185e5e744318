//! Layer norm, fused with the preceding bias and residual.

use pulp::{Simd, WithSimd};

use super::arch;

/// Parameters of a layer norm.
pub(crate) struct NormWeights {
    /// Factor of the normalized row; (H).
    pub(crate) gain: Vec<f32>,
    /// Term that is added after the factor; (H).
    pub(crate) shift: Option<Vec<f32>>,
    /// Term that is added to the variance.
    pub(crate) eps: f32,
}

/// Computes `x = norm(x + bias + residual)` in place; x and residual (N, H), bias (H).
pub(crate) fn add_norm(x: &mut [f32], bias: Option<&[f32]>, residual: &[f32], weights: &NormWeights) {
    arch().dispatch(NormRows { x, bias, residual: Some(residual), weights });
}

/// Computes `x = norm(x)` in place; x (N, H).
pub(crate) fn norm(x: &mut [f32], weights: &NormWeights) {
    arch().dispatch(NormRows { x, bias: None, residual: None, weights });
}

struct NormRows<'a> {
    x: &'a mut [f32],
    bias: Option<&'a [f32]>,
    residual: Option<&'a [f32]>,
    weights: &'a NormWeights,
}

impl WithSimd for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, bias, residual, weights } = self;
        let width = weights.gain.len();
        for (row, x) in x.chunks_exact_mut(width).enumerate() {
            if let Some(bias) = bias {
                x.iter_mut().zip(bias).for_each(|(x, b)| *x += *b);
            }
            if let Some(residual) = residual {
                let residual = &residual[row * width..][..width];
                x.iter_mut().zip(residual).for_each(|(x, r)| *x += *r);
            }
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + weights.eps).sqrt();
            x.iter_mut().zip(&weights.gain).for_each(|(x, g)| *x = (*x - mean) * scale * *g);
            if let Some(shift) = &weights.shift {
                x.iter_mut().zip(shift).for_each(|(x, s)| *x += *s);
            }
        }
    }
}

/// Sums `f` over a row in sixteen lanes: a fixed order that compiles to vector code.
#[inline(always)]
pub fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane += f(*x);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// Computes the dot product of two rows in sixteen lanes, as [`sum`] does.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<16>(), y.as_chunks::<16>());
    let mut lanes = [0.0; 16];
    for (x, y) in x.iter().zip(y) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += *x * *y;
        }
    }
    lanes.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f32>()
}
