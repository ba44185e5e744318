//! Checkpoint whose weights can change: computes the embeddings of the encoder, with gradients.

use std::path::Path;

use candle_core::{DType, Tensor};
use selvedge_encoder::{
    Batch, Config, DenseSpec, LoadOptions, OpenCheckpoint, PostNormConfig, TextKind, TextPipeline, TokenizedText,
};

use crate::blocks::{activate, linear, unit};
use crate::error::Result;
use crate::forward::{Padded, forward};
use crate::loss::Encoded;
use crate::params::{Params, StoredAs};
use crate::{fast_forward, ops};

/// Checkpoint in training: its weights are variables, and its embeddings have gradients.
pub struct Student {
    checkpoint: OpenCheckpoint,
    pub(crate) params: Params,
}

impl std::fmt::Debug for Student {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Student").field("model", &self.checkpoint.model()).finish_non_exhaustive()
    }
}

impl Student {
    /// Loads a folder, a hub id or the shipped model, of any family and architecture that
    /// [`Encoder::load`](selvedge_encoder::Encoder::load) supports.
    ///
    /// # Errors
    /// [`Error::Encoder`](crate::Error::Encoder) with the errors of `Encoder::load`.
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self> {
        Self::load_as(model, options, DType::F32)
    }

    /// Loads a checkpoint to compute in `dtype`.
    pub(crate) fn load_as(model: &str, options: &LoadOptions, dtype: DType) -> Result<Self> {
        let checkpoint = OpenCheckpoint::open(model, options)?;
        let params = Params::read(&checkpoint, dtype)?;
        Ok(Self { checkpoint, params })
    }

    /// Returns the pipeline from texts to token ids.
    pub(crate) fn pipeline(&self) -> &TextPipeline {
        self.checkpoint.pipeline()
    }

    /// Computes the embeddings of texts. An empty text has no kept embedding.
    ///
    /// # Errors
    /// - [`Error::Encoder`](crate::Error::Encoder) if the tokenizer fails on a text, or the checkpoint lacks a tensor.
    /// - [`Error::Tensor`](crate::Error::Tensor) if a tensor has the wrong shape.
    pub fn encode(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Encoded> {
        self.embed(&self.pipeline().tokenize(texts, kind)?)
    }

    /// Computes the embeddings of tokenized texts.
    pub(crate) fn embed(&self, rows: &[TokenizedText]) -> Result<Encoded> {
        match self.checkpoint.config() {
            Config::PostNorm(config) if self.params.dtype == DType::F32 => self.embed_fast(config, rows),
            _ => self.embed_padded(rows),
        }
    }

    /// Computes embeddings in candle's operations, for every architecture, in f32 and f64.
    pub(crate) fn embed_padded(&self, rows: &[TokenizedText]) -> Result<Encoded> {
        let batch = Padded::new(rows, self.params.dtype)?;
        let x = self.project(forward(self.checkpoint.config(), &self.params, &batch)?)?;
        Ok(Encoded { embeddings: unit(&x)?, kept: batch.kept })
    }

    /// Computes embeddings with `ops`, without padding; the result is padded.
    fn embed_fast(&self, config: &PostNormConfig, rows: &[TokenizedText]) -> Result<Encoded> {
        let batch = Batch::new(rows.iter());
        let padded = Padded::new(rows, DType::F32)?;
        if batch.ids.is_empty() {
            return self.embed_padded(rows);
        }
        let x = self.project(fast_forward::post_norm(config, &self.params, &batch)?)?;
        let embeddings = padded.pad(&ops::unit(&x)?, &batch.spans)?;
        Ok(Encoded { embeddings, kept: padded.kept })
    }

    /// Projects hidden states (.., H) to (.., D).
    fn project(&self, mut x: Tensor) -> Result<Tensor> {
        for spec in &self.checkpoint.text_rules().projection {
            x = self.dense(spec, &x)?;
        }
        Ok(x)
    }

    /// Computes one layer of the projection, as the encoder's `projection.rs` does.
    fn dense(&self, spec: &DenseSpec, x: &Tensor) -> Result<Tensor> {
        let get = |name: &str| self.params.get(&spec.folder, name);
        let bias = if spec.bias { Some(get("linear.bias")?) } else { None };
        let y = activate(&linear(x, get(&spec.weight)?, bias)?, spec.activation.into())?;
        Ok(match spec.residual {
            false => y,
            true if self.params.contains(&spec.folder, "residual.weight") => {
                (y + linear(x, get("residual.weight")?, None)?)?
            }
            true => (y + x)?,
        })
    }

    /// Writes the checkpoint into `folder`: the settings and the tokenizer unchanged, then the current weights.
    ///
    /// # Errors
    /// - [`Error::Encoder`](crate::Error::Encoder) if the settings cannot be copied.
    /// - [`Error::Io`](crate::Error::Io) and [`Error::UnwritableWeights`](crate::Error::UnwritableWeights) if the
    ///   weights cannot be written.
    pub fn save(&self, folder: &Path, stored_as: StoredAs) -> Result<()> {
        self.checkpoint.copy_settings(folder)?;
        self.params.save(folder, stored_as)
    }
}
