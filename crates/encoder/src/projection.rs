//! The chain of Dense layers from hidden states to embeddings.
//!
//! `y = activation(x W^T + b) + residual`, where the residual is absent, `x` itself, or `x R^T` when the widths differ.
//! In: hidden states (N, H). Out: embeddings (N, D), not yet normalized.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::models::{Arithmetic, Linear, Scratch};
use crate::ops::{self, Elementwise};
use crate::text_rules::{Activation, DenseSpec};
use crate::weights::Weights;

/// The Dense layers with their weights.
pub(crate) struct Projection {
    layers: Vec<Dense>,
}

struct Dense {
    linear: Linear,
    activation: Activation,
    residual: Residual,
}

enum Residual {
    None,
    Input,
    Product(Linear),
}

impl Projection {
    /// Loads every layer, and checks that its input is as wide as the output of the layer before. Returns the chain
    /// and D.
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        specs: &[DenseSpec],
        hidden: usize,
        arithmetic: Arithmetic,
        fingerprint: &mut Fingerprint,
    ) -> Result<(Self, usize)> {
        let mut layers = Vec::with_capacity(specs.len());
        let mut width = hidden;
        for spec in specs {
            let mut weights = Weights::open(checkpoint, &spec.folder, Some(&mut *fingerprint))?;
            let out = match spec.out_features {
                Some(out) => out,
                None => weights.shape(&spec.weight)?.first().copied().unwrap_or_default(),
            };
            if out == 0 {
                return Err(Error::DimNotMultipleOf8 { model: checkpoint.model().to_owned(), dim: 0 });
            }
            let bias = spec.bias.then_some("linear.bias");
            // The shape is checked against the width of the previous output, so a chain that does not fit is an error.
            let linear = Linear::load(&mut weights, arithmetic, &spec.weight, bias, width, out)?;
            let residual = match spec.residual {
                false => Residual::None,
                true if width == out => Residual::Input,
                true => Residual::Product(Linear::load(&mut weights, arithmetic, "residual.weight", None, width, out)?),
            };
            layers.push(Dense { linear, activation: spec.activation, residual });
            width = out;
        }
        Ok((Self { layers }, width))
    }

    /// Applies every layer to `scratch.x`, (N, H) to (N, D).
    pub(crate) fn forward(&self, scratch: &mut Scratch) {
        let Scratch { x, y, wide, rounded, .. } = scratch;
        for layer in &self.layers {
            layer.linear.forward(x, layer.activation.into(), y, rounded);
            match &layer.residual {
                Residual::None => {}
                Residual::Input => ops::add(y, x, x.len(), None),
                Residual::Product(linear) => {
                    linear.product(x, wide, rounded);
                    ops::add(y, wide, wide.len(), None);
                }
            }
            std::mem::swap(x, y);
        }
    }
}

impl From<Activation> for Elementwise {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Identity => Self::Identity,
            Activation::Tanh => Self::Tanh,
            Activation::Relu => Self::Relu,
            Activation::Gelu => Self::Gelu,
            Activation::Silu => Self::Silu,
            Activation::Sigmoid => Self::Sigmoid,
        }
    }
}
