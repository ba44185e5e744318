//! The chain of Dense layers from hidden states to embeddings.
//!
//! `y = activation(x W^T + b) + residual`, where the residual is absent, `x` itself, or `x R^T` when the widths differ.
//! In: hidden states (N, H). Out: rows (N, D), not yet normalized.

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::fingerprint::Fingerprint;
use crate::models::{Arithmetic, Linear, Scratch};
use crate::ops::{self, Elementwise};
use crate::weights::Weights;
use crate::{Error, Result};

/// What follows a Dense layer's product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x Phi(x)`, by the error function.
    Gelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// One layer, as its settings describe it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DenseSpec {
    /// The folder of its weights; empty for the checkpoint's root.
    pub folder: String,
    /// The weight's name there; (out, in).
    pub weight: String,
    /// Width of its input.
    pub in_features: usize,
    /// Width of its output; `None` takes it from the weight's shape.
    pub out_features: Option<usize>,
    /// Whether `linear.bias` is added.
    pub bias: bool,
    /// What follows.
    pub activation: Activation,
    /// Whether the input, or its product with `residual.weight`, is added after the activation.
    pub residual: bool,
}

impl DenseSpec {
    /// A bare product whose weight lies in the transformer's own file.
    pub(crate) fn inline(weight: &str, in_features: usize, out_features: Option<usize>) -> Self {
        Self {
            folder: String::new(),
            weight: weight.to_owned(),
            in_features,
            out_features,
            bias: false,
            activation: Activation::Identity,
            residual: false,
        }
    }

    /// A Dense module: `config.json` and `model.safetensors` in a folder of its own.
    pub(crate) fn read(checkpoint: &Checkpoint, folder: &str) -> Result<Self> {
        let config = checkpoint.require_json(&format!("{folder}/config.json"))?;
        if let Some(input) = config.string("module_input_name")?.filter(|input| input != "token_embeddings") {
            // PyLate applies every Dense to token embeddings; the name only means something beside a Pooling.
            tracing::debug!(folder, input, "a Dense layer is applied to token embeddings");
        }
        let name = config.string("activation_function")?.unwrap_or_else(|| "Tanh".into());
        let activation = match name.rsplit('.').next().unwrap_or_default() {
            "Identity" => Activation::Identity,
            "Tanh" => Activation::Tanh,
            "ReLU" => Activation::Relu,
            "GELU" => Activation::Gelu,
            "SiLU" => Activation::Silu,
            "Sigmoid" => Activation::Sigmoid,
            _ => return Err(Error::Unsupported { path: config.path, what: format!("activation {name}") }),
        };
        Ok(Self {
            folder: folder.to_owned(),
            weight: "linear.weight".into(),
            in_features: config.required("in_features", config.usize("in_features")?)?,
            out_features: Some(config.required("out_features", config.usize("out_features")?)?),
            bias: config.bool("bias")?.unwrap_or(true),
            activation,
            residual: config.bool("use_residual")?.unwrap_or(false),
        })
    }
}

/// The chain with its weights.
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
    /// Loads every layer, checking that each takes what the one before gives; returns the chain and its D.
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
            let mut weights = Weights::open(checkpoint, &spec.folder, fingerprint)?;
            let out = match spec.out_features {
                Some(out) => out,
                None => weights.shape(&spec.weight)?.first().copied().unwrap_or_default(),
            };
            let bias = spec.bias.then_some("linear.bias");
            // The layer's input is as wide as the output before it: a chain that does not fit is a wrong shape.
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

    /// `scratch.x`, (N, H) to (N, D).
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
