//! Transformers: token ids of a ragged batch to hidden states.
//!
//! In: a [`Batch`] of N tokens. Out: hidden states (N, H) f32, one row per kept token, in the batch's order.

mod any;
mod bert;
mod distilbert;
mod jina_bert;
mod layers;
mod modernbert;
mod nomic_bert;
mod parts;
mod post_norm;
mod precision;
mod xlm_roberta;

use crate::batch::Batch;
use crate::error::Result;
use crate::fingerprint::Fingerprint;
use crate::weights::Weights;

pub(crate) use any::AnyConfig;
#[cfg(feature = "candle")]
pub(crate) use bert::NAMES as BERT_NAMES;
pub(crate) use jina_bert::JinaBertConfig;
pub(crate) use layers::{Arithmetic, Linear};
use modernbert::ModernBert;
pub use modernbert::ModernBertConfig;
pub(crate) use nomic_bert::NomicBertConfig;
pub use parts::Architecture;
pub(crate) use parts::Scratch;
use post_norm::PostNorm;
pub use post_norm::{Positions, PostNormConfig, TensorNames};
pub use precision::Precision;

/// A loaded transformer.
pub(crate) enum Transformer {
    PostNorm(PostNorm),
    ModernBert(ModernBert),
}

/// Configuration of a transformer, as `config.json` describes it.
#[derive(Debug, Clone)]
pub enum Config {
    /// BERT, DistilBERT, XLM-RoBERTa and RoBERTa.
    PostNorm(PostNormConfig),
    /// ModernBERT.
    ModernBert(ModernBertConfig),
}

impl Config {
    /// Architecture of the transformer.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::PostNorm(config) => config.architecture,
            Self::ModernBert(_) => Architecture::ModernBert,
        }
    }

    /// Width of a hidden state (H).
    pub fn hidden(&self) -> usize {
        match self {
            Self::PostNorm(config) => config.hidden,
            Self::ModernBert(config) => config.hidden,
        }
    }

    /// Maximum number of tokens of a sequence.
    pub fn positions(&self) -> usize {
        match self {
            Self::PostNorm(config) => config.longest(),
            Self::ModernBert(config) => config.positions,
        }
    }

    /// Name of the word embeddings' table, without the prefix that a checkpoint may have before all names.
    pub fn word_table(&self) -> &'static str {
        match self {
            Self::PostNorm(config) => config.names.word,
            Self::ModernBert(_) => ModernBertConfig::WORD_TABLE,
        }
    }

    /// Loads the weights.
    pub(crate) fn load(self, weights: &mut Weights<'_>, arithmetic: Arithmetic) -> Result<Transformer> {
        Ok(match self {
            Self::PostNorm(config) => Transformer::PostNorm(PostNorm::load(config, weights, arithmetic)?),
            Self::ModernBert(config) => Transformer::ModernBert(ModernBert::load(config, weights, arithmetic)?),
        })
    }

    pub(crate) fn hash(&self, fingerprint: &mut Fingerprint) {
        match self {
            Self::PostNorm(config) => fingerprint.json("config", config),
            Self::ModernBert(config) => fingerprint.json("config", config),
        }
    }
}

impl Transformer {
    /// Number of multiply-adds of the layers' products per token.
    pub(crate) fn multiply_adds(&self) -> usize {
        match self {
            Self::PostNorm(model) => model.multiply_adds(),
            Self::ModernBert(model) => model.multiply_adds(),
        }
    }

    /// Computes the last hidden states of the tokens that a batch keeps, (N, H), into `scratch.x`.
    pub(crate) fn forward(&self, batch: &Batch, scratch: &mut Scratch) -> Result<()> {
        match self {
            Self::PostNorm(model) => model.forward(batch, scratch),
            Self::ModernBert(model) => model.forward(batch, scratch),
        }
    }
}
