//! Layer norm, with the bias and the residual that precede it.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{task_rows, values, values_mut};

/// The parameters of one layer norm.
pub(crate) struct NormWeights {
    /// Multiplies the normalized row; (H).
    pub(crate) gain: Vec<f32>,
    /// Is added after; (H).
    pub(crate) shift: Option<Vec<f32>>,
    /// Is added to the variance.
    pub(crate) eps: f32,
}

/// `x = norm(x + bias + residual)` in place; x and residual (N, H), bias (H).
pub(crate) fn add_norm(x: &Tensor, bias: Option<&[f32]>, residual: &Tensor, weights: &NormWeights) -> Result<()> {
    x.inplace_op2(residual, &AddNorm { bias, weights })
}

/// `x = norm(x)` in place; x (N, H).
pub(crate) fn norm(x: &Tensor, weights: &NormWeights) -> Result<()> {
    x.inplace_op1(&AddNorm { bias: None, weights })
}

struct AddNorm<'a> {
    bias: Option<&'a [f32]>,
    weights: &'a NormWeights,
}

impl InplaceOp1 for AddNorm<'_> {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let width = self.weights.gain.len();
        values_mut(storage, layout)?
            .par_chunks_mut(task_rows(width) * width)
            .for_each(|x| Arch::new().dispatch(NormRows { x, residual: None, op: self }));
        Ok(())
    }
}

impl InplaceOp2 for AddNorm<'_> {
    fn name(&self) -> &'static str {
        "add-norm"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, x_layout: &Layout, r: &CpuStorage, r_layout: &Layout) -> Result<()> {
        let task = task_rows(self.weights.gain.len()) * self.weights.gain.len();
        values_mut(x, x_layout)?
            .par_chunks_mut(task)
            .zip(values(r, r_layout)?.par_chunks(task))
            .for_each(|(x, r)| Arch::new().dispatch(NormRows { x, residual: Some(r), op: self }));
        Ok(())
    }
}

struct NormRows<'a> {
    x: &'a mut [f32],
    residual: Option<&'a [f32]>,
    op: &'a AddNorm<'a>,
}

impl WithSimd for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let weights = self.op.weights;
        let width = weights.gain.len();
        for (row, x) in self.x.chunks_exact_mut(width).enumerate() {
            if let Some(bias) = self.op.bias {
                x.iter_mut().zip(bias).for_each(|(x, b)| *x += *b);
            }
            if let Some(residual) = self.residual {
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

/// The sum of `f` over a row, in sixteen lanes: a fixed order that vector code can follow.
#[inline(always)]
pub(crate) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane += f(*x);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// The sum of products of two rows, in the same lanes.
#[inline(always)]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<16>(), y.as_chunks::<16>());
    let mut lanes = [0.0; 16];
    for (x, y) in x.iter().zip(y) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += *x * *y;
        }
    }
    lanes.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f32>()
}
