//! A checkpoint whose weights can change: the same texts to the same embeddings as the encoder, with gradients.

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

/// A checkpoint in training.
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
    /// Loads a folder or a hub id, of any family and architecture that [`Encoder::load`](selvedge_encoder::Encoder::load) takes.
    ///
    /// # Errors
    /// As there.
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self> {
        Self::load_as(model, options, DType::F32)
    }

    /// The same, to compute in another type.
    pub(crate) fn load_as(model: &str, options: &LoadOptions, dtype: DType) -> Result<Self> {
        let checkpoint = OpenCheckpoint::open(model, options)?;
        let params = Params::read(&checkpoint, dtype)?;
        Ok(Self { checkpoint, params })
    }

    /// The pipeline from texts to token ids.
    pub(crate) fn pipeline(&self) -> &TextPipeline {
        self.checkpoint.pipeline()
    }

    /// Embeddings of texts; an empty text has no row that is kept.
    ///
    /// # Errors
    /// If the tokenizer fails on a text, or the checkpoint lacks a tensor.
    pub fn encode(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Encoded> {
        self.embed(&self.pipeline().tokenize(texts, kind)?)
    }

    /// Embeddings of rows.
    pub(crate) fn embed(&self, rows: &[TokenizedText]) -> Result<Encoded> {
        match self.checkpoint.config() {
            Config::PostNorm(config) if self.params.dtype == DType::F32 => self.embed_ragged(config, rows),
            _ => self.embed_padded(rows),
        }
    }

    /// By candle's own operations: in f64, too, and of every architecture.
    pub(crate) fn embed_padded(&self, rows: &[TokenizedText]) -> Result<Encoded> {
        let batch = Padded::new(rows, self.params.dtype)?;
        let x = self.project(forward(self.checkpoint.config(), &self.params, &batch)?)?;
        Ok(Encoded { embeddings: unit(&x)?, kept: batch.kept })
    }

    /// By `ops`, without padding; the result is padded.
    fn embed_ragged(&self, config: &PostNormConfig, rows: &[TokenizedText]) -> Result<Encoded> {
        let batch = Batch::new(rows.iter());
        let padded = Padded::new(rows, DType::F32)?;
        if batch.ids.is_empty() {
            return self.embed_padded(rows);
        }
        let x = self.project(fast_forward::post_norm(config, &self.params, &batch)?)?;
        let embeddings = padded.of_ragged(&ops::unit(&x)?, &batch.spans)?;
        Ok(Encoded { embeddings, kept: padded.kept })
    }

    /// Hidden states (.., H) to (.., D).
    fn project(&self, mut x: Tensor) -> Result<Tensor> {
        for spec in &self.checkpoint.recipe().projection {
            x = self.dense(spec, &x)?;
        }
        Ok(x)
    }

    /// One layer of the projection, as the encoder's `projection.rs` has it.
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

    /// Writes the checkpoint as it stands: its settings and tokenizer as they were, its weights last.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn save(&self, folder: &Path, stored_as: StoredAs) -> Result<()> {
        self.checkpoint.copy_settings(folder)?;
        self.params.save(folder, stored_as)
    }
}
