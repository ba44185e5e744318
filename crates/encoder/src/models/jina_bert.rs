//! JinaBERT: sizes of BERT with a bias of attention by distance (ALiBi) and gated units.
//!
//! ```text
//! x = norm(word[id] + type[0])
//! each layer: x = norm(x + attention(x)); x = norm(x + wo(gelu(a) b)) where (a, b) = gated(x)
//! ```
//! The score of two tokens is lowered by their distance times a slope of the head. Only the executor candle computes
//! this transformer.

use serde::Serialize;

use super::parts::{Architecture, head_dim, num_layers, num_positions, width};
use crate::checkpoint::Json;
use crate::error::{Error, Result};

/// Sizes of a JinaBERT.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JinaBertConfig {
    pub(crate) architecture: Architecture,
    /// Least number of rows of the word embeddings' table.
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    pub(crate) num_layers: usize,
    pub(crate) num_heads: usize,
    /// Width of a gated unit (I).
    pub(crate) intermediate: usize,
    /// Maximum number of tokens of a sequence.
    pub(crate) positions: usize,
    pub(crate) eps: f64,
}

/// Whether a `config.json` of `model_type` bert is that of a JinaBERT.
pub(super) fn recognizes(json: &Json) -> Result<bool> {
    Ok(json.string("position_embedding_type")?.as_deref() == Some("alibi"))
}

impl JinaBertConfig {
    /// Name of the word embeddings' table.
    #[cfg(feature = "candle")]
    pub(crate) const WORD_TABLE: &'static str = "embeddings.word_embeddings.weight";

    /// Reads `config.json`. candle's gated unit is GEGLU, whatever the configuration says, so any other is refused.
    pub(super) fn read(json: &Json) -> Result<Self> {
        let count = |key| json.required(key, json.usize(key)?);
        let feed_forward = json.string("feed_forward_type")?.unwrap_or_else(|| "original".into());
        if feed_forward != "geglu" {
            let what = format!("feed_forward_type {feed_forward} of JinaBERT");
            return Err(Error::Unsupported { path: json.path.clone(), what });
        }
        let hidden = width(json, "hidden_size")?;
        let num_heads = count("num_attention_heads")?;
        head_dim(json, hidden, num_heads)?;
        Ok(Self {
            architecture: Architecture::JinaBert,
            vocabulary: count("vocab_size")?,
            hidden,
            num_layers: num_layers(json, "num_hidden_layers")?,
            num_heads,
            intermediate: width(json, "intermediate_size")?,
            positions: num_positions(json, "max_position_embeddings")?,
            eps: json.f64("layer_norm_eps")?.unwrap_or(1e-12),
        })
    }
}
