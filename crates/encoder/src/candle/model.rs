//! candle's model of an architecture: loading, and the call with ids and mask.

use candle_core::{Device, Module, Result as CandleResult, Tensor};
use candle_transformers::models::{bert, jina_bert, modernbert, nomic_bert, xlm_roberta};

use super::padded::Block;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::fingerprint::Fingerprint;
use crate::models::{AnyConfig, Config};
use crate::text_rules::TextRules;
use crate::weights::Weights;

/// A model of candle-transformers.
pub(super) enum Model {
    /// BERT and DistilBERT.
    Bert(bert::BertModel),
    /// XLM-RoBERTa and RoBERTa.
    XlmRoberta(xlm_roberta::XLMRobertaModel),
    ModernBert(modernbert::ModernBert),
    JinaBert(jina_bert::BertModel),
    NomicBert(nomic_bert::NomicBertModel),
}

/// A model with its weights.
pub(super) struct Loaded {
    pub(super) model: Model,
    /// Number of rows of the word embeddings' table.
    pub(super) vocabulary: usize,
    /// Number of multiply-adds of the layers' products per token.
    pub(super) multiply_adds: usize,
}

/// Loads the model of an architecture, with tables for texts of up to `longest` tokens.
pub(super) fn load(
    config: AnyConfig,
    files: &Checkpoint,
    text_rules: &TextRules,
    longest: usize,
    device: &Device,
    fingerprint: &mut Fingerprint,
) -> Result<Loaded> {
    let weights = &mut Weights::open(files, "", Some(fingerprint))?;
    match config {
        AnyConfig::Own(config) => match *config {
            Config::PostNorm(config) => super::bert::load(config, files, weights, device),
            Config::ModernBert(config) => super::modern_bert::load(config, files, text_rules, weights, longest, device),
        },
        AnyConfig::JinaBert(config) => super::jina_bert::load(config, files, text_rules, weights, longest, device),
        AnyConfig::NomicBert(config) => super::nomic_bert::load(config, weights, longest, device),
    }
}

impl Model {
    /// Whether padding can be masked.
    pub(super) fn has_mask(&self) -> bool {
        !matches!(self, Self::JinaBert(_))
    }

    /// Computes the last hidden states of a block; (B, T, H).
    pub(super) fn forward(&self, Block { ids, mask }: &Block) -> CandleResult<Tensor> {
        match self {
            Self::Bert(model) => model.forward(ids, &ids.zeros_like()?, Some(mask)),
            Self::XlmRoberta(model) => model.forward(ids, mask, &ids.zeros_like()?, None, None, None),
            Self::ModernBert(model) => model.forward(ids, mask),
            Self::JinaBert(model) => model.forward(ids),
            Self::NomicBert(model) => model.forward(ids, None, Some(mask)),
        }
    }
}
