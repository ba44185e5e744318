//! Reads the weights of a transformer onto a device, under the names of candle's models.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::error::Result;
use crate::weights::Weights;

/// Tensors read so far. Each is checked for its shape and for values that are not finite, and added to the
/// fingerprint, in the order in which [`crate::models`] reads them: both executors give the same fingerprint.
pub(super) struct Tensors<'a, 'w> {
    weights: &'a mut Weights<'w>,
    /// Prefix of all names in the checkpoint.
    root: String,
    device: &'a Device,
    tensors: HashMap<String, Tensor>,
    multiply_adds: usize,
}

impl<'a, 'w> Tensors<'a, 'w> {
    /// Starts with the prefix of the checkpoint's name for the word embeddings' table.
    pub(super) fn new(weights: &'a mut Weights<'w>, word_table: &str, device: &'a Device) -> Result<Self> {
        let root = weights.prefix_of(word_table)?;
        Ok(Self { weights, root, device, tensors: HashMap::new(), multiply_adds: 0 })
    }

    /// Whether the checkpoint has a tensor.
    pub(super) fn has(&self, name: &str) -> bool {
        self.weights.contains(&format!("{}{name}", self.root))
    }

    /// Reads the table `from` as `to`, of at least `least` rows; returns their number.
    pub(super) fn table(&mut self, from: &str, to: &str, least: usize, width: usize) -> Result<usize> {
        let rows = self.weights.shape(&format!("{}{from}", self.root))?.first().copied().unwrap_or_default();
        let rows = rows.max(least);
        self.read(from, to.to_owned(), &[rows, width])?;
        Ok(rows)
    }

    /// Reads products of the same input, each `from` a name as another, without ".weight": all weights (out, in), then
    /// all biases (out).
    pub(super) fn linear(
        &mut self,
        names: &[(String, String)],
        bias: bool,
        width_in: usize,
        width_out: usize,
    ) -> Result<()> {
        for (from, to) in names {
            self.read(&format!("{from}.weight"), format!("{to}.weight"), &[width_out, width_in])?;
            self.multiply_adds += width_in * width_out;
        }
        for (from, to) in names.iter().filter(|_| bias) {
            self.read(&format!("{from}.bias"), format!("{to}.bias"), &[width_out])?;
        }
        Ok(())
    }

    /// Reads a norm; the oldest BERT checkpoints call its gain and shift gamma and beta.
    pub(super) fn norm(&mut self, from: &str, to: &str, width: usize, shift: bool) -> Result<()> {
        let old = !self.has(&format!("{from}.weight")) && self.has(&format!("{from}.gamma"));
        let (gain, shift_name) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        self.read(&format!("{from}.{gain}"), format!("{to}.weight"), &[width])?;
        if shift {
            self.read(&format!("{from}.{shift_name}"), format!("{to}.bias"), &[width])?;
        }
        Ok(())
    }

    /// Adds a table of zeros, for an input that the checkpoint's architecture lacks.
    pub(super) fn zeros(&mut self, to: &str, rows: usize, width: usize) -> Result<()> {
        self.tensors.insert(to.to_owned(), Tensor::zeros((rows, width), DType::F32, self.device)?);
        Ok(())
    }

    /// Returns the tensors as candle's models take them, and the number of multiply-adds per token.
    pub(super) fn finish(self) -> (VarBuilder<'static>, usize) {
        (VarBuilder::from_tensors(self.tensors, DType::F32, self.device), self.multiply_adds)
    }

    fn read(&mut self, from: &str, to: String, shape: &[usize]) -> Result<()> {
        let values = self.weights.values(&format!("{}{from}", self.root), shape)?;
        self.tensors.insert(to, Tensor::from_vec(values, shape, self.device)?);
        Ok(())
    }
}
