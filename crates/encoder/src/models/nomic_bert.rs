//! NomicBERT: sizes of BERT with rotary positions and gated units.
//!
//! ```text
//! x = norm(word[id] + type[0])
//! each layer: x = norm(x + out(attention(rotate(qkv(x))))); x = norm(x + fc2(fc11(x) silu(fc12(x))))
//! ```
//! Only the executor candle computes it.

use serde::Serialize;

use super::parts::{Architecture, head_dim, num_layers, num_positions, width};
use crate::checkpoint::Json;
use crate::error::{Error, Result};

/// Sizes and rules of a NomicBERT.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NomicBertConfig {
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
    pub(crate) theta: f64,
    /// Whether neighbouring components are rotated in pairs, instead of the halves of a head.
    pub(crate) interleaved: bool,
    /// Whether there is a table of token types.
    pub(crate) token_types: bool,
    pub(crate) qkv_bias: bool,
    pub(crate) fc1_bias: bool,
    pub(crate) fc2_bias: bool,
}

impl NomicBertConfig {
    /// Name of the word embeddings' table.
    #[cfg(feature = "candle")]
    pub(crate) const WORD_TABLE: &'static str = "embeddings.word_embeddings.weight";

    /// Reads `config.json`. Missing flags have the defaults of the checkpoints' own code, not candle's. Settings that
    /// candle's model does not read are refused unless they have the value that it computes.
    pub(super) fn read(json: &Json) -> Result<Self> {
        let count = |key| json.required(key, json.usize(key)?);
        let flag = |key, default| Ok::<_, Error>(json.bool(key)?.unwrap_or(default));
        let unsupported = |what: String| Error::Unsupported { path: json.path.clone(), what };
        let activation = json.string("activation_function")?.unwrap_or_else(|| "gelu".into());
        if activation != "swiglu" {
            return Err(unsupported(format!("activation_function {activation} of NomicBERT")));
        }
        for key in ["prenorm", "parallel_block", "causal", "use_rms_norm"] {
            if flag(key, false)? {
                return Err(unsupported(format!("{key} of NomicBERT")));
            }
        }
        if json.usize("moe_every_n_layers")?.unwrap_or(0) > 0 {
            return Err(unsupported("a mixture of experts".into()));
        }
        let hidden = width(json, "n_embd")?;
        let num_heads = count("n_head")?;
        let head_dim = head_dim(json, hidden, num_heads)?;
        let fraction = json.f64("rotary_emb_fraction")?.unwrap_or(0.0);
        if fraction != 1.0 {
            return Err(unsupported(format!("rotary_emb_fraction {fraction}")));
        }
        if !head_dim.is_multiple_of(2) {
            return Err(json.malformed(format!("heads of {head_dim} components cannot be rotated in pairs")));
        }
        if json.get("rotary_emb_scale_base").is_some() {
            return Err(unsupported("rotary_emb_scale_base".into()));
        }
        let mut positions = num_positions(json, "n_positions")?;
        // Rotation is scaled only in texts longer than the training's, which candle does not compute.
        if json.f64("rotary_scaling_factor")?.is_some() {
            positions = positions.min(num_positions(json, "max_trained_positions")?);
        }
        Ok(Self {
            architecture: Architecture::NomicBert,
            vocabulary: count("vocab_size")?,
            hidden,
            num_layers: num_layers(json, "n_layer")?,
            num_heads,
            intermediate: width(json, "n_inner")?,
            positions,
            eps: json.f64("layer_norm_epsilon")?.unwrap_or(1e-5),
            theta: json.f64("rotary_emb_base")?.unwrap_or(1000.0),
            interleaved: flag("rotary_emb_interleaved", false)?,
            token_types: json.usize("type_vocab_size")?.unwrap_or(2) > 0,
            qkv_bias: flag("qkv_proj_bias", true)?,
            fc1_bias: flag("mlp_fc1_bias", true)?,
            fc2_bias: flag("mlp_fc2_bias", true)?,
        })
    }
}
