//! Bias and activation: `y = f(x + b)`, `dx = f'(x + b) dy`, `db = sum of dx over all rows`.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use selvedge_encoder::ops::{self, Elementwise, math};

use super::{tensor, values, with_values};

/// Computes `f(x + b)`; x (N, W), b (W).
pub(crate) fn bias_activation(x: &Tensor, bias: &Tensor, f: Elementwise) -> Result<Tensor> {
    x.apply_op2(bias, BiasActivation(f))
}

struct BiasActivation(Elementwise);

impl CustomOp2 for BiasActivation {
    fn name(&self) -> &'static str {
        "bias-activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, b: &CpuStorage, bl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = xl.shape().dims2()?;
        let mut y = values(x, xl)?.to_vec();
        ops::bias_activation(&mut y, width, Some(values(b, bl)?), self.0);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, b: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, db) = with_values([x, b, dy], |[x, b, dy]| {
            let (mut dx, mut db) = (x.to_vec(), vec![0.0; b.len()]);
            Arch::new().dispatch(Backward { dx: &mut dx, bias: b, dy, db: &mut db, f: self.0 });
            (dx, db)
        })?;
        Ok((Some(tensor(dx, x)?), Some(tensor(db, b)?)))
    }
}

struct Backward<'a> {
    /// Input x, replaced by its gradient.
    dx: &'a mut [f32],
    bias: &'a [f32],
    dy: &'a [f32],
    db: &'a mut [f32],
    f: Elementwise,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if S::IS_SCALAR { self.visit_slope::<false>() } else { self.visit_slope::<true>() }
    }
}

impl Backward<'_> {
    /// Calls [`Self::run`] with the derivative of `f`; the loop is compiled once per activation.
    #[inline(always)]
    fn visit_slope<const FUSED: bool>(self) {
        match self.f {
            Elementwise::Identity => self.run(|_| 1.0),
            Elementwise::Tanh => self.run(|x| {
                let y = math::tanh::<FUSED>(x);
                1.0 - y * y
            }),
            Elementwise::Relu => self.run(|x| if x > 0.0 { 1.0 } else { 0.0 }),
            Elementwise::Gelu => self.run(|x| {
                // 1 / sqrt(2 pi), the normal density at 0.
                let density = 0.398_942_3 * math::exp::<FUSED>(-0.5 * x * x);
                0.5 * (1.0 + math::erf::<FUSED>(x * std::f32::consts::FRAC_1_SQRT_2)) + x * density
            }),
            Elementwise::GeluTanh => self.run(|x| {
                let y = math::tanh::<FUSED>(0.797_884_6 * (x + 0.044_715 * x * x * x));
                let inner_slope = 0.797_884_6 * (1.0 + 3.0 * 0.044_715 * x * x);
                0.5 * (1.0 + y) + 0.5 * x * (1.0 - y * y) * inner_slope
            }),
            Elementwise::Silu => self.run(|x| {
                let y = math::sigmoid::<FUSED>(x);
                y * (1.0 + x * (1.0 - y))
            }),
            Elementwise::Sigmoid => self.run(|x| {
                let y = math::sigmoid::<FUSED>(x);
                y * (1.0 - y)
            }),
        }
    }

    #[inline(always)]
    fn run(self, slope: impl Fn(f32) -> f32) {
        let width = self.bias.len();
        for (dx, dy) in self.dx.chunks_exact_mut(width).zip(self.dy.chunks_exact(width)) {
            for (((dx, dy), bias), db) in dx.iter_mut().zip(dy).zip(self.bias).zip(self.db.iter_mut()) {
                *dx = slope(*dx + *bias) * *dy;
                *db += *dx;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn slopes_are_those_of_differences() {
        use Elementwise::{Gelu, GeluTanh, Identity, Relu, Sigmoid, Silu, Tanh};
        const STEP: f32 = 1.0 / 64.0;
        // No point is within a step of 0, where ReLU is not differentiable.
        let points: Vec<f32> = (-100..100).map(|i| (i as f32 + 0.5) * 0.05).collect();
        let tensor = |by: f32| {
            let moved: Vec<f32> = points.iter().map(|x| x + by).collect();
            Tensor::from_vec(moved, (points.len(), 1), &Device::Cpu).unwrap()
        };
        let bias = Var::from_tensor(&Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
        for f in [Identity, Tanh, Relu, Gelu, GeluTanh, Silu, Sigmoid] {
            let at = |by: f32| {
                let y = bias_activation(&tensor(by), bias.as_tensor(), f).unwrap();
                y.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let x = Var::from_tensor(&tensor(0.0)).unwrap();
            let sum = bias_activation(x.as_tensor(), bias.as_tensor(), f).unwrap().sum_all().unwrap();
            let gradients = sum.backward().unwrap();
            let slopes = gradients.get(x.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (((x, slope), up), down) in points.iter().zip(&slopes).zip(at(STEP)).zip(at(-STEP)) {
                let difference = (up - down) / (2.0 * STEP);
                assert!((slope - difference).abs() < 5e-4, "{f:?} at {x}: {slope} for {difference}");
            }
            let of_bias = gradients.get(bias.as_tensor()).unwrap().to_vec1::<f32>().unwrap()[0];
            assert!((of_bias - slopes.iter().sum::<f32>()).abs() < 1e-3, "{f:?}: {of_bias}");
        }
    }
}
