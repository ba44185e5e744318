//! The transformers: token ids of a ragged batch to hidden states.
//!
//! In: a [`Batch`] of N tokens. Out: hidden states (N, H) f32, one row per kept token, in the batch's order.

mod bert;
mod distilbert;
mod layers;
mod modernbert;
mod post_norm;
mod xlm_roberta;

use selvedge_backend::cpu::RoundedRows;
use serde::Serialize;

use crate::batch::Batch;
use crate::checkpoint::Json;
use crate::fingerprint::Fingerprint;
use crate::ops::{RotaryTable, attention};
use crate::weights::Weights;
use crate::{Error, Result};

pub(crate) use layers::{Arithmetic, Linear};
use modernbert::ModernBert;
pub(crate) use modernbert::{Config as ModernBertConfig, WORD as MODERN_BERT_WORD};
pub(crate) use post_norm::Config as PostNormConfig;
use post_norm::PostNorm;

/// Which transformer a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Architecture {
    /// Learned positions, norm after each block.
    Bert,
    /// BERT without token types.
    DistilBert,
    /// BERT whose positions skip padding and start after it; RoBERTa is computed the same way.
    XlmRoberta,
    /// Rotary positions, gated units, norm before each block, most layers local.
    ModernBert,
}

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

/// What a forward pass writes on its way. Kept from batch to batch: once it has seen the largest, nothing is allocated.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Hidden states; (N, H).
    pub(crate) x: Vec<f32>,
    /// What a block adds to them, or gets of them; (N, H).
    pub(crate) y: Vec<f32>,
    /// (N, 3H).
    qkv: Vec<f32>,
    /// What attention makes of it; (N, H).
    context: Vec<f32>,
    /// Between a block's two products: (N, I), of gated units (N, 2I).
    pub(crate) wide: Vec<f32>,
    /// What gates leave; (N, I).
    gated: Vec<f32>,
    attention: attention::Scratch,
    /// Of global and of local layers; its positions are those of the longest text so far.
    rotary: [RotaryTable; 2],
    pub(crate) rounded: RoundedRows,
}

/// The rows of x (N, W) that are kept, ascending.
fn keep_rows(x: &mut Vec<f32>, width: usize, kept: &[usize]) {
    for (to, from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
        x.copy_within(from * width..(from + 1) * width, to * width);
    }
    x.truncate(kept.len() * width);
}

/// How many heads of which width; they have to fill H exactly.
fn head_dim(json: &Json, hidden: usize, num_heads: usize) -> Result<usize> {
    match hidden.checked_div(num_heads) {
        Some(head_dim) if head_dim * num_heads == hidden && head_dim > 0 => Ok(head_dim),
        _ => Err(json.malformed(format!("{num_heads} heads do not divide a width of {hidden}"))),
    }
}
