//! The transformers: token ids of a ragged batch to hidden states.
//!
//! In: a [`Batch`] of N tokens. Out: hidden states (N, H) f32, one row per kept token, in the batch's order.

mod bert;
mod distilbert;
mod layers;
mod modernbert;
mod parts;
mod post_norm;
mod precision;
mod xlm_roberta;

use crate::batch::Batch;
use crate::checkpoint::Json;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::weights::Weights;

pub(crate) use layers::{Arithmetic, Linear};
use modernbert::ModernBert;
pub(crate) use modernbert::{Config as ModernBertConfig, WORD as MODERN_BERT_WORD};
pub use parts::Architecture;
pub(crate) use parts::Scratch;
pub(crate) use post_norm::Config as PostNormConfig;
use post_norm::PostNorm;
pub use precision::Precision;

/// A loaded transformer.
pub(crate) enum Transformer {
    PostNorm(PostNorm),
    ModernBert(ModernBert),
}

/// What a configuration says before any weight is read.
pub(crate) enum Config {
    PostNorm(post_norm::Config),
    ModernBert(modernbert::Config),
}

impl Config {
    /// Reads `config.json`, whatever its `model_type`.
    pub(crate) fn read(json: &Json) -> Result<Self> {
        let model_type = json.required("model_type", json.string("model_type")?)?;
        Ok(match model_type.as_str() {
            "bert" => Self::PostNorm(bert::config(json)?),
            "distilbert" => Self::PostNorm(distilbert::config(json)?),
            "xlm-roberta" | "roberta" => Self::PostNorm(xlm_roberta::config(json)?),
            "modernbert" => Self::ModernBert(modernbert::Config::read(json)?),
            _ => return Err(Error::UnsupportedArchitecture { path: json.path.clone(), found: model_type }),
        })
    }

    pub(crate) fn architecture(&self) -> Architecture {
        match self {
            Self::PostNorm(config) => config.architecture,
            Self::ModernBert(_) => Architecture::ModernBert,
        }
    }

    /// H.
    pub(crate) fn hidden(&self) -> usize {
        match self {
            Self::PostNorm(config) => config.hidden,
            Self::ModernBert(config) => config.hidden,
        }
    }

    /// The longest sequence.
    pub(crate) fn positions(&self) -> usize {
        match self {
            Self::PostNorm(config) => config.longest(),
            Self::ModernBert(config) => config.positions,
        }
    }

    /// Loads the weights; what the configuration says goes into the fingerprint too.
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
    /// Multiply-adds of the layers' products for one token.
    pub(crate) fn multiply_adds(&self) -> usize {
        match self {
            Self::PostNorm(model) => model.multiply_adds(),
            Self::ModernBert(model) => model.multiply_adds(),
        }
    }

    /// The last hidden states of the tokens that a batch keeps, (N, H), into `scratch.x`.
    pub(crate) fn forward(&self, batch: &Batch, scratch: &mut Scratch) -> Result<()> {
        match self {
            Self::PostNorm(model) => model.forward(batch, scratch),
            Self::ModernBert(model) => model.forward(batch, scratch),
        }
    }
}
