//! The chain of Dense layers from hidden states to embeddings, in candle's operations: see [`crate::projection`].

use candle_core::{Device, Module, Result as CandleResult, Tensor};
use candle_nn::{Linear, ops};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::text_rules::{Activation, DenseSpec};
use crate::weights::Weights;

/// The Dense layers with their weights.
pub(super) struct Projection {
    layers: Vec<Dense>,
    hidden: usize,
    dim: usize,
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
    /// Loads every layer, in the order of [`crate::projection::Projection::load`]. Returns the chain and D.
    pub(super) fn load(
        files: &Checkpoint,
        specs: &[DenseSpec],
        hidden: usize,
        device: &Device,
        fingerprint: &mut Fingerprint,
    ) -> Result<(Self, usize)> {
        let mut layers = Vec::with_capacity(specs.len());
        let mut width = hidden;
        for spec in specs {
            let mut weights = Weights::open(files, &spec.folder, Some(&mut *fingerprint))?;
            let out = match spec.out_features {
                Some(out) => out,
                None => weights.shape(&spec.weight)?.first().copied().unwrap_or_default(),
            };
            if out == 0 {
                return Err(Error::DimNotMultipleOf8 { model: files.model().to_owned(), dim: 0 });
            }
            let mut linear = |weight: &str, bias: Option<&str>| -> Result<Linear> {
                let mut read = |name: &str, shape: &[usize]| -> Result<Tensor> {
                    Ok(Tensor::from_vec(weights.values(name, shape)?, shape, device)?)
                };
                Ok(Linear::new(read(weight, &[out, width])?, bias.map(|name| read(name, &[out])).transpose()?))
            };
            let product = linear(&spec.weight, spec.bias.then_some("linear.bias"))?;
            let residual = match spec.residual {
                false => Residual::None,
                true if width == out => Residual::Input,
                true => Residual::Product(linear("residual.weight", None)?),
            };
            layers.push(Dense { linear: product, activation: spec.activation, residual });
            width = out;
        }
        Ok((Self { layers, hidden, dim: width }, width))
    }

    /// Width of a hidden state (H).
    pub(super) fn hidden(&self) -> usize {
        self.hidden
    }

    /// Number of components of an embedding (D).
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Applies every layer; (N, H) to (N, D).
    pub(super) fn forward(&self, mut x: Tensor) -> CandleResult<Tensor> {
        for layer in &self.layers {
            let y = activate(&layer.linear.forward(&x)?, layer.activation)?;
            x = match &layer.residual {
                Residual::None => y,
                Residual::Input => (y + x)?,
                Residual::Product(linear) => (y + linear.forward(&x)?)?,
            };
        }
        Ok(x)
    }
}

fn activate(x: &Tensor, activation: Activation) -> CandleResult<Tensor> {
    match activation {
        Activation::Identity => Ok(x.clone()),
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.relu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::Silu => x.silu(),
        Activation::Sigmoid => ops::sigmoid(x),
    }
}

/// Scales every row of a matrix to unit norm; a row of zeros stays zero.
pub(super) fn unit(x: &Tensor) -> CandleResult<Tensor> {
    /// Lower bound of the divisor, as in the reference libraries.
    const LEAST_NORM: f64 = 1e-12;
    x.broadcast_div(&x.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(LEAST_NORM)?)
}
