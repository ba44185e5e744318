//! Layers that all architectures share: matrix product, norm, embedding table.

use selvedge_backend::Cpu;
use selvedge_backend::cpu::{LinearF32, LinearInt8, RoundedRows};

use super::precision::Precision;
use crate::error::{Error, Result};
use crate::ops::{self, Elementwise, NormWeights};
use crate::weights::Weights;

/// Backend and number format of the products.
#[derive(Clone, Copy)]
pub(crate) struct Arithmetic {
    pub(crate) cpu: Cpu,
    pub(crate) precision: Precision,
}

/// `x W^T + b`. The bias is separate so that callers can fuse it with the next operation.
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Vec<f32>>,
}

enum Weight {
    F32(LinearF32),
    Int8(LinearInt8),
}

impl Linear {
    /// Loads `weight` (out, in) and, if named, `bias` (out).
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        arithmetic: Arithmetic,
        weight: &str,
        bias: Option<&str>,
        width_in: usize,
        width_out: usize,
    ) -> Result<Self> {
        Self::stacked(weights, arithmetic, &[weight], &Vec::from_iter(bias), width_in, width_out)
    }

    /// Loads several products of the same input as one: `width_out` outputs each, stacked in the order of the names.
    pub(crate) fn stacked(
        weights: &mut Weights<'_>,
        Arithmetic { cpu, precision }: Arithmetic,
        names: &[&str],
        biases: &[&str],
        width_in: usize,
        width_out: usize,
    ) -> Result<Self> {
        if precision == Precision::Int8 && width_in > LinearInt8::MAX_INPUTS {
            return Err(Error::TooWideForInt8 { width: width_in, most: LinearInt8::MAX_INPUTS });
        }
        let mut stacked = Vec::new();
        for name in names {
            stacked.extend(weights.values(name, &[width_out, width_in])?);
        }
        let weight = match precision {
            Precision::F32 => Weight::F32(LinearF32::new(&cpu, width_in, &stacked)),
            Precision::Int8 => Weight::Int8(LinearInt8::new(&cpu, width_in, &stacked)),
        };
        let mut bias = Vec::new();
        for name in biases {
            bias.extend(weights.values(name, &[width_out])?);
        }
        Ok(Self { weight, bias: (!bias.is_empty()).then_some(bias) })
    }

    /// Computes `x W^T`; (N, in) to (N, out).
    pub(crate) fn product(&self, x: &[f32], y: &mut Vec<f32>, rounded: &mut RoundedRows) {
        let (inputs, outputs) = self.widths();
        y.resize(x.len() / inputs * outputs, 0.0);
        match &self.weight {
            Weight::F32(weight) => weight.forward(x, y),
            Weight::Int8(weight) => weight.forward(x, y, rounded),
        }
    }

    /// Computes `f(x W^T + b)`; (N, in) to (N, out).
    pub(crate) fn forward(&self, x: &[f32], f: Elementwise, y: &mut Vec<f32>, rounded: &mut RoundedRows) {
        self.product(x, y, rounded);
        ops::bias_activation(y, self.widths().1, self.bias(), f);
    }

    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// Number of multiply-adds per row.
    pub(super) fn multiply_adds(&self) -> usize {
        let (inputs, outputs) = self.widths();
        inputs * outputs
    }

    /// Numbers of inputs and outputs.
    fn widths(&self) -> (usize, usize) {
        match &self.weight {
            Weight::F32(weight) => (weight.inputs(), weight.outputs()),
            Weight::Int8(weight) => (weight.inputs(), weight.outputs()),
        }
    }
}

/// Loads the gain and shift of a norm; the oldest BERT checkpoints call them gamma and beta.
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

/// Table of embeddings, looked up by id.
pub(super) struct Table {
    rows: Vec<f32>,
    width: usize,
}

impl Table {
    /// Loads a table (rows, width) of at least `least` rows, the number in the configuration. More rows are accepted:
    /// they are of added tokens.
    pub(super) fn load(weights: &mut Weights<'_>, name: &str, least: usize, width: usize) -> Result<Self> {
        let rows = weights.shape(name)?.first().copied().unwrap_or_default();
        let rows = weights.values(name, &[rows.max(least), width])?;
        Ok(Self { rows, width })
    }

    /// Adds a row to every row of the table.
    pub(super) fn add(&mut self, row: &[f32]) {
        for own in self.rows.chunks_exact_mut(self.width) {
            own.iter_mut().zip(row).for_each(|(own, row)| *own += row);
        }
    }

    /// Row of an id.
    pub(super) fn row(&self, id: u32) -> Result<&[f32]> {
        let start = id as usize * self.width;
        self.rows
            .get(start..start + self.width)
            .ok_or(Error::TokenOutOfRange { id, vocabulary: self.rows.len() / self.width })
    }
}
