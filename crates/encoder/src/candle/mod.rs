//! The executor candle: the models of candle-transformers in the place of [`crate::models`], on any device of candle.
//!
//! In: a ragged [`Batch`]. Out: a tensor of hidden states (N, H) or unit-norm embeddings (N, D) f32 on the device, one
//! row per kept token, in the batch's order.
//!
//! | file | task |
//! |---|---|
//! | `tensors` | reads the weights, under the names of candle's models |
//! | `bert`, `modern_bert`, `jina_bert`, `nomic_bert` | load one model of candle each, and refuse what it does not compute |
//! | `model` | calls the model of an architecture with ids and mask |
//! | `padded` | pads the texts of a batch to one length, and finds the rows of the kept tokens |
//! | `projection` | Dense layers and unit norm in candle's operations |
//!
//! Departures from the models of candle-transformers 0.11.1:
//!
//! - DistilBERT runs as candle's BERT, with renamed tensors and a token type of zeros. candle's own DistilBERT computes
//!   "gelu" by its approximation with a hyperbolic tangent; the checkpoints are trained with the exact one.
//! - candle's JinaBERT has no mask. Texts are batched with texts of the same length, and a checkpoint whose queries are
//!   expanded with tokens that are not attended to is refused.
//! - candle's ModernBERT has exact GELU, no biases, and global layers at regular distances from the first layer on.
//!   Checkpoints with other settings are refused. In its local layers, a token with no attended token within the window
//!   attends to the masked ones. Queries that are expanded with unattended tokens beyond the window (64 tokens in the
//!   published models, queries have 32 by default) are therefore refused, with the length that is accepted.

mod bert;
mod jina_bert;
mod model;
mod modern_bert;
mod nomic_bert;
mod padded;
mod projection;
mod tensors;

use candle_core::{DType, Device, Tensor};

use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::executor::CandleDevice;
use crate::fingerprint::Fingerprint;
use crate::models::AnyConfig;
use crate::text_rules::TextRules;
use model::{Loaded, Model};
use padded::Padded;
use projection::Projection;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Candle { reason: error.to_string() }
    }
}

/// Opens a device. There is no fallback: a device that is not available is an error.
pub(crate) fn open(device: CandleDevice) -> Result<Device> {
    let opened = match device {
        CandleDevice::Cpu => Ok(Device::Cpu),
        CandleDevice::Cuda(number) => Device::new_cuda(number),
        CandleDevice::Metal(number) => Device::new_metal(number),
    };
    opened.map_err(|error| Error::NoCandleDevice { device, reason: error.to_string() })
}

/// Copies a tensor to the host.
pub(crate) fn to_host(tensor: &Tensor, values: &mut Vec<f32>) -> Result<()> {
    *values = match tensor.elem_count() {
        0 => Vec::new(),
        _ => tensor.flatten_all()?.to_vec1()?,
    };
    Ok(())
}

/// A checkpoint loaded into candle's model of its architecture.
pub(crate) struct Candle {
    device: Device,
    model: Model,
    projection: Projection,
    /// Number of rows of the word embeddings' table.
    vocabulary: usize,
    /// Number of tokens of the longest text that the model's tables are made for.
    longest: usize,
    multiply_adds: usize,
}

impl Candle {
    /// Loads the weights onto a device; returns the model and D.
    pub(crate) fn load(
        config: AnyConfig,
        files: &Checkpoint,
        text_rules: &TextRules,
        device: Device,
        fingerprint: &mut Fingerprint,
    ) -> Result<(Self, usize)> {
        let (hidden, longest) = (config.hidden(), longest(text_rules).min(config.positions()));
        let Loaded { model, vocabulary, multiply_adds } =
            model::load(config, files, text_rules, longest, &device, fingerprint)?;
        let (projection, dim) = Projection::load(files, &text_rules.projection, hidden, &device, fingerprint)?;
        Ok((Self { device, model, projection, vocabulary, longest, multiply_adds }, dim))
    }

    /// Number of multiply-adds of the layers' products per token, attention excluded.
    pub(crate) fn multiply_adds(&self) -> usize {
        self.multiply_adds
    }

    /// Number of batches that are computed at the same time: one, whose operations fill the device.
    pub(crate) fn max_workers(&self) -> usize {
        if self.device.is_cpu() { rayon::current_num_threads() } else { 1 }
    }

    /// Computes the last hidden states of the tokens that a batch keeps; (N, H).
    pub(crate) fn hidden_states(&self, batch: &Batch) -> Result<Tensor> {
        if batch.kept.is_empty() {
            return self.no_rows(self.projection.hidden());
        }
        if let Some(&id) = batch.ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            return Err(Error::TokenOutOfRange { id, vocabulary: self.vocabulary });
        }
        if batch.longest() > self.longest {
            let (found, most) = (batch.longest(), self.longest);
            return Err(Error::Candle { reason: format!("a text of {found} tokens; the model is loaded for {most}") });
        }
        let padded = Padded::new(batch, &self.device, self.model.has_mask())?;
        let states = padded.blocks.iter().map(|block| self.model.forward(block)?.flatten(0, 1));
        let states = match states.collect::<candle_core::Result<Vec<_>>>()?.as_slice() {
            [states] => states.clone(),
            several => Tensor::cat(several, 0)?,
        };
        Ok(states.index_select(&padded.kept, 0)?)
    }

    /// Computes the embeddings of the tokens that a batch keeps, with unit norm; (N, D).
    pub(crate) fn embeddings(&self, batch: &Batch) -> Result<Tensor> {
        if batch.kept.is_empty() {
            return self.no_rows(self.projection.dim());
        }
        Ok(projection::unit(&self.projection.forward(self.hidden_states(batch)?)?)?)
    }

    /// A tensor of no rows. GPUs allocate no empty buffers, so it is an empty part of another.
    pub(crate) fn no_rows(&self, width: usize) -> Result<Tensor> {
        Ok(Tensor::zeros((1, width), DType::F32, &self.device)?.narrow(0, 0, 0)?)
    }
}

/// Number of tokens of the longest text that the rules allow.
fn longest(text_rules: &TextRules) -> usize {
    let expansion = text_rules.expansion.as_ref().map_or(0, |expansion| expansion.length);
    text_rules.query.max_len.max(text_rules.passage.max_len).max(expansion)
}
