//! DistilBERT: sizes and tensor names for the transformer of `post_norm`.

use super::parts::{Architecture, activation, head_dim, num_layers, num_positions, width};
use super::post_norm::{Positions, PostNormConfig, TensorNames};
use crate::checkpoint::Json;
use crate::error::Result;

const NAMES: TensorNames = TensorNames {
    word: "embeddings.word_embeddings.weight",
    position: "embeddings.position_embeddings.weight",
    token_type: None,
    norm: "embeddings.LayerNorm",
    layer: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_out: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
};

/// Reads `config.json`.
pub(super) fn config(json: &Json) -> Result<PostNormConfig> {
    let count = |key| json.required(key, json.usize(key)?);
    let hidden = width(json, "dim")?;
    let num_heads = count("n_heads")?;
    head_dim(json, hidden, num_heads)?;
    Ok(PostNormConfig {
        architecture: Architecture::DistilBert,
        vocabulary: count("vocab_size")?,
        hidden,
        num_layers: num_layers(json, "n_layers")?,
        num_heads,
        intermediate: width(json, "hidden_dim")?,
        table_positions: num_positions(json, "max_position_embeddings")?,
        activation: activation(json, "activation")?,
        // A constant in the reference.
        eps: 1e-12,
        positions: Positions::FromZero,
        names: NAMES,
    })
}
