//! The parts that all architectures share: matrix product, norm, embedding table.

use candle_core::Tensor;
use selvedge_backend::{Cpu, cpu};

use crate::ops::{self, Elementwise, NormWeights};
use crate::weights::Weights;
use crate::{Error, Result};

/// `x W^T + b`. The bias is kept apart so that callers can fuse it with what follows.
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Vec<f32>>,
}

enum Weight {
    /// (in, out), a transposed view of the stored (out, in).
    F32(Tensor),
    Int8(cpu::Linear),
}

impl Linear {
    /// Loads `weight` (out, in) and, if named, `bias` (out).
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        weight: &str,
        bias: Option<&str>,
        width_in: usize,
        width_out: usize,
    ) -> Result<Self> {
        Self::stacked(weights, &[weight], &Vec::from_iter(bias), width_in, width_out)
    }

    /// Several products of the same input as one: `width_out` rows each, stacked in the order of the names.
    pub(crate) fn stacked(
        weights: &mut Weights<'_>,
        names: &[&str],
        biases: &[&str],
        width_in: usize,
        width_out: usize,
    ) -> Result<Self> {
        let parts =
            names.iter().map(|name| weights.tensor(name, &[width_out, width_in])).collect::<Result<Vec<_>>>()?;
        let weight = match parts.as_slice() {
            [single] => single.clone(),
            parts => Tensor::cat(parts, 0)?,
        };
        let mut bias = Vec::new();
        for name in biases {
            bias.extend(weights.values(name, &[width_out])?);
        }
        Ok(Self { weight: Weight::F32(weight.t()?), bias: (!bias.is_empty()).then_some(bias) })
    }

    /// Rounds the weight to int8: from now on products are computed in it.
    pub(super) fn round(&mut self, cpu: &Cpu) -> Result<()> {
        if let Weight::F32(weight) = &self.weight {
            let values = weight.t()?.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
            self.weight = Weight::Int8(cpu::Linear::new(cpu, weight.dim(0)?, &values));
        }
        Ok(())
    }

    /// `x W^T`; (N, in) to (N, out).
    pub(crate) fn product(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.weight {
            Weight::F32(weight) => x.matmul(weight)?,
            Weight::Int8(weight) => ops::int8_product(x, weight)?,
        })
    }

    /// `f(x W^T + b)`.
    pub(crate) fn forward(&self, x: &Tensor, f: Elementwise) -> Result<Tensor> {
        let y = self.product(x)?;
        ops::bias_activation(&y, self.bias(), f)?;
        Ok(y)
    }

    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }
}

/// A norm's gain and shift; BERT checkpoints of the first days call them gamma and beta.
pub(super) fn load_norm(
    weights: &mut Weights<'_>,
    name: &str,
    width: usize,
    eps: f64,
    shift: bool,
) -> Result<NormWeights> {
    let old = !weights.contains(&format!("{name}.weight")) && weights.contains(&format!("{name}.gamma"));
    let (gain, shift_name) = if old { ("gamma", "beta") } else { ("weight", "bias") };
    let gain = weights.values(&format!("{name}.{gain}"), &[width])?;
    let shift = if shift { Some(weights.values(&format!("{name}.{shift_name}"), &[width])?) } else { None };
    Ok(NormWeights { gain, shift, eps: eps as f32 })
}

/// Rows of a table, looked up by id.
pub(super) struct Table {
    rows: Vec<f32>,
    width: usize,
}

impl Table {
    /// Loads (rows, width); the number of rows may exceed what the configuration says (added tokens), not fall short.
    pub(super) fn load(weights: &mut Weights<'_>, name: &str, least: usize, width: usize) -> Result<Self> {
        let rows = weights.shape(name)?.first().copied().unwrap_or_default();
        let rows = weights.values(name, &[rows.max(least), width])?;
        Ok(Self { rows, width })
    }

    /// Adds one row to all.
    pub(super) fn add(&mut self, row: &[f32]) {
        for own in self.rows.chunks_exact_mut(self.width) {
            own.iter_mut().zip(row).for_each(|(own, row)| *own += row);
        }
    }

    /// The row of an id.
    pub(super) fn row(&self, id: u32) -> Result<&[f32]> {
        let start = id as usize * self.width;
        self.rows
            .get(start..start + self.width)
            .ok_or(Error::TokenOutOfRange { id, vocabulary: self.rows.len() / self.width })
    }
}
