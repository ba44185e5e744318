//! Bias and activation in one pass, and the gated unit.

use pulp::{Simd, WithSimd};
use serde::Serialize;

use super::{arch, math};

/// Activation function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Elementwise {
    /// `x`.
    Identity,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x Phi(x)`.
    Gelu,
    /// GELU's approximation by a hyperbolic tangent.
    GeluTanh,
    /// `x sigmoid(x)`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Elementwise {
    /// Function by its name in the configurations of transformers.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Self::GeluTanh,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            "tanh" => Self::Tanh,
            _ => return None,
        })
    }

    /// Calls `visit` with the function as a type, so that its loop is compiled for each function.
    #[inline(always)]
    fn visit<V: Visit, const FUSED: bool>(self, visit: V) {
        match self {
            Self::Identity => visit.run(|x| x),
            Self::Tanh => visit.run(math::tanh::<FUSED>),
            Self::Relu => visit.run(|x| x.max(0.0)),
            Self::Gelu => visit.run(|x| 0.5 * x * (1.0 + math::erf::<FUSED>(x * std::f32::consts::FRAC_1_SQRT_2))),
            Self::GeluTanh => visit.run(|x| 0.5 * x * (1.0 + math::tanh::<FUSED>(gelu_inner(x)))),
            Self::Silu => visit.run(|x| x * math::sigmoid::<FUSED>(x)),
            Self::Sigmoid => visit.run(math::sigmoid::<FUSED>),
        }
    }
}

/// Argument of the hyperbolic tangent in [`Elementwise::GeluTanh`].
#[inline(always)]
fn gelu_inner(x: f32) -> f32 {
    0.797_884_6 * (x + 0.044_715 * x * x * x)
}

/// A loop that is generic over an activation function.
trait Visit {
    /// Runs the loop with `f`.
    fn run(self, f: impl Fn(f32) -> f32);
}

/// Computes `x = f(x + bias)` in place; x (N, W), bias (W).
pub fn bias_activation(x: &mut [f32], width: usize, bias: Option<&[f32]>, f: Elementwise) {
    if bias.is_some() || f != Elementwise::Identity {
        arch().dispatch(BiasRows { x, width, bias, f });
    }
}

/// Arguments of [`bias_activation`].
struct BiasRows<'a> {
    x: &'a mut [f32],
    width: usize,
    bias: Option<&'a [f32]>,
    f: Elementwise,
}

impl WithSimd for BiasRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if S::IS_SCALAR { self.f.visit::<_, false>(self) } else { self.f.visit::<_, true>(self) }
    }
}

impl Visit for BiasRows<'_> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        for row in self.x.chunks_exact_mut(self.width) {
            match self.bias {
                Some(bias) => row.iter_mut().zip(bias).for_each(|(x, b)| *x = f(*x + *b)),
                None => row.iter_mut().for_each(|x| *x = f(*x)),
            }
        }
    }
}

/// Computes `f(x[:W]) x[W:]` of each row; x (N, 2W) with its bias added, out (N, W).
pub(crate) fn gated(x: &[f32], width: usize, f: Elementwise, out: &mut Vec<f32>) {
    out.resize(x.len() / 2, 0.0);
    arch().dispatch(GatedRows { out, x, width, f });
}

/// Arguments of [`gated`].
struct GatedRows<'a> {
    out: &'a mut [f32],
    x: &'a [f32],
    width: usize,
    f: Elementwise,
}

impl WithSimd for GatedRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if S::IS_SCALAR { self.f.visit::<_, false>(self) } else { self.f.visit::<_, true>(self) }
    }
}

impl Visit for GatedRows<'_> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        for (out, x) in self.out.chunks_exact_mut(self.width).zip(self.x.chunks_exact(2 * self.width)) {
            let (input, gate) = x.split_at(self.width);
            for ((out, input), gate) in out.iter_mut().zip(input).zip(gate) {
                *out = f(*input) * *gate;
            }
        }
    }
}

/// Computes `x = x + y + bias` in place; x and y (N, W), bias (W).
pub(crate) fn add(x: &mut [f32], y: &[f32], width: usize, bias: Option<&[f32]>) {
    arch().dispatch(AddRows { x, y, width, bias });
}

/// Arguments of [`add`].
struct AddRows<'a> {
    x: &'a mut [f32],
    y: &'a [f32],
    width: usize,
    bias: Option<&'a [f32]>,
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (x, y) in self.x.chunks_exact_mut(self.width).zip(self.y.chunks_exact(self.width)) {
            x.iter_mut().zip(y).for_each(|(x, y)| *x += *y);
            if let Some(bias) = self.bias {
                x.iter_mut().zip(bias).for_each(|(x, b)| *x += *b);
            }
        }
    }
}
