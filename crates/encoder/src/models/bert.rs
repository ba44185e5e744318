//! BERT: sizes and tensor names for the transformer of `post_norm`.

use super::parts::{Architecture, activation, head_dim, num_layers, num_positions, width};
use super::post_norm::{Positions, PostNormConfig, TensorNames};
use crate::checkpoint::Json;
use crate::error::{Error, Result};

/// Names of BERT's tensors, shared with XLM-RoBERTa.
pub(crate) const NAMES: TensorNames = TensorNames {
    word: "embeddings.word_embeddings.weight",
    position: "embeddings.position_embeddings.weight",
    token_type: Some("embeddings.token_type_embeddings.weight"),
    norm: "embeddings.LayerNorm",
    layer: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

/// Reads `config.json`.
pub(super) fn config(json: &Json) -> Result<PostNormConfig> {
    let count = |key| json.required(key, json.usize(key)?);
    if let Some(kind) = json.string("position_embedding_type")?.filter(|kind| kind != "absolute") {
        return Err(Error::Unsupported { path: json.path.clone(), what: format!("position_embedding_type {kind}") });
    }
    let hidden = width(json, "hidden_size")?;
    let num_heads = count("num_attention_heads")?;
    head_dim(json, hidden, num_heads)?;
    Ok(PostNormConfig {
        architecture: Architecture::Bert,
        vocabulary: count("vocab_size")?,
        hidden,
        num_layers: num_layers(json, "num_hidden_layers")?,
        num_heads,
        intermediate: width(json, "intermediate_size")?,
        table_positions: num_positions(json, "max_position_embeddings")?,
        activation: activation(json, "hidden_act")?,
        eps: json.f64("layer_norm_eps")?.unwrap_or(1e-12),
        positions: Positions::FromZero,
        names: NAMES,
    })
}
