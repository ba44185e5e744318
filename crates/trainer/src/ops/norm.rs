//! Layer norm, including the addition of the bias and the residual before it.
//!
//! ```text
//! z = x + b + r;  n = (z - mean) / sqrt(variance + eps);  y = n g + s
//! dn = dy g;  dz = (dn - mean(dn) - n mean(n dn)) / sqrt(variance + eps);  dx = dr = dz
//! dg = sum of n dy;  ds = sum of dy;  db = sum of dz, over all rows
//! ```

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use selvedge_encoder::ops::{dot, sum};

use super::{tensor, values, with_values};

/// Computes `norm(x + b + r) g + s`; x and r (N, H), b, g and s (H).
pub(crate) fn add_norm(
    x: &Tensor,
    bias: &Tensor,
    residual: &Tensor,
    (gain, shift): (&Tensor, &Tensor),
    eps: f64,
) -> Result<Tensor> {
    x.apply_op3(residual, &Tensor::stack(&[gain, shift, bias], 0)?, Norm { eps: eps as f32 })
}

struct Norm {
    eps: f32,
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "add-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        r: &CpuStorage,
        rl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = xl.shape().dims2()?;
        let y = forward(self.eps, width, values(x, xl)?, values(r, rl)?, values(w, wl)?);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        r: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dz, dw) = with_values([x, r, w, dy], |[x, r, w, dy]| backward(self.eps, x, r, w, dy))?;
        let dz = tensor(dz, x)?;
        Ok((Some(dz.clone()), Some(dz), Some(tensor(dw, w)?)))
    }
}

/// Computes the norm; `weights` are gain, shift and bias, (3, H).
fn forward(eps: f32, width: usize, x: &[f32], residual: &[f32], weights: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    Arch::new().dispatch(Forward { eps, width, y: &mut y, residual, weights });
    y
}

struct Forward<'a> {
    eps: f32,
    width: usize,
    y: &'a mut [f32],
    residual: &'a [f32],
    weights: &'a [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (gain, rest) = self.weights.split_at(self.width);
        let (shift, bias) = rest.split_at(self.width);
        for (row, y) in self.y.chunks_exact_mut(self.width).enumerate() {
            add(y, &self.residual[row * self.width..], bias);
            let (mean, scale) = moments(y, self.eps);
            for ((y, gain), shift) in y.iter_mut().zip(gain).zip(shift) {
                *y = (*y - mean) * scale * *gain + *shift;
            }
        }
    }
}

/// Computes the gradient of x, which is also the gradient of the residual, and that of the weights.
fn backward(eps: f32, x: &[f32], residual: &[f32], weights: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut dz, mut dw) = (x.to_vec(), vec![0.0; weights.len()]);
    let width = weights.len() / 3;
    Arch::new().dispatch(Backward { eps, width, dz: &mut dz, residual, weights, dy, dw: &mut dw });
    (dz, dw)
}

struct Backward<'a> {
    eps: f32,
    width: usize,
    /// Input x, replaced by its gradient.
    dz: &'a mut [f32],
    residual: &'a [f32],
    weights: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (gain, rest) = self.weights.split_at(self.width);
        let bias = &rest[self.width..];
        let (dgain, rest) = self.dw.split_at_mut(self.width);
        let (dshift, dbias) = rest.split_at_mut(self.width);
        let mut dn = vec![0.0; self.width];
        for (row, (z, dy)) in self.dz.chunks_exact_mut(self.width).zip(self.dy.chunks_exact(self.width)).enumerate() {
            add(z, &self.residual[row * self.width..], bias);
            let (mean, scale) = moments(z, self.eps);
            z.iter_mut().for_each(|z| *z = (*z - mean) * scale);
            for (((dgain, dshift), dy), n) in dgain.iter_mut().zip(dshift.iter_mut()).zip(dy).zip(z.iter()) {
                *dgain += *n * *dy;
                *dshift += *dy;
            }
            dn.iter_mut().zip(dy).zip(gain).for_each(|((dn, dy), gain)| *dn = *dy * *gain);
            let mean = sum(&dn, |dn| dn) / self.width as f32;
            let along = dot(z, &dn) / self.width as f32;
            z.iter_mut().zip(&dn).for_each(|(z, dn)| *z = (*dn - mean - *z * along) * scale);
            dbias.iter_mut().zip(z.iter()).for_each(|(dbias, dz)| *dbias += *dz);
        }
    }
}

/// Computes `x += r + b`.
#[inline(always)]
fn add(x: &mut [f32], residual: &[f32], bias: &[f32]) {
    x.iter_mut().zip(residual).zip(bias).for_each(|((x, r), b)| *x += *r + *b);
}

/// Returns the mean of a row, and `1 / sqrt(variance + eps)`.
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let mean = sum(x, |x| x) / x.len() as f32;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / x.len() as f32;
    (mean, 1.0 / (variance + eps).sqrt())
}
