//! NomicBERT.

use candle_core::Device;
use candle_transformers::models::nomic_bert::{Config, NomicBertModel};

use super::model::{Loaded, Model};
use super::tensors::Tensors;
use crate::error::Result;
use crate::models::NomicBertConfig;
use crate::weights::Weights;

/// Loads the weights. `longest` is the number of positions of the rotary table.
pub(super) fn load(
    config: NomicBertConfig,
    weights: &mut Weights<'_>,
    longest: usize,
    device: &Device,
) -> Result<Loaded> {
    let NomicBertConfig { hidden, intermediate, qkv_bias, fc1_bias, fc2_bias, .. } = config;
    let mut tensors = Tensors::new(weights, NomicBertConfig::WORD_TABLE, device)?;
    let same = |name: String| (name.clone(), name);
    let word = NomicBertConfig::WORD_TABLE;
    let vocab_size = tensors.table(word, word, config.vocabulary, hidden)?;
    let token_types = "embeddings.token_type_embeddings.weight";
    let type_vocab_size = if config.token_types { tensors.table(token_types, token_types, 1, hidden)? } else { 0 };
    tensors.norm("emb_ln", "emb_ln", hidden, true)?;
    for layer in 0..config.num_layers {
        let part = |name: &str| format!("encoder.layers.{layer}.{name}");
        tensors.linear(&[same(part("attn.Wqkv"))], qkv_bias, hidden, 3 * hidden)?;
        tensors.linear(&[same(part("attn.out_proj"))], qkv_bias, hidden, hidden)?;
        for name in ["mlp.fc11", "mlp.fc12"] {
            tensors.linear(&[same(part(name))], fc1_bias, hidden, intermediate)?;
        }
        tensors.linear(&[same(part("mlp.fc2"))], fc2_bias, intermediate, hidden)?;
        for name in ["norm1", "norm2"] {
            tensors.norm(&part(name), &part(name), hidden, true)?;
        }
    }
    let config = Config {
        vocab_size,
        n_embd: hidden,
        n_head: config.num_heads,
        n_layer: config.num_layers,
        n_inner: intermediate,
        n_positions: longest,
        type_vocab_size,
        layer_norm_epsilon: config.eps,
        rotary_emb_fraction: 1.0,
        rotary_emb_base: config.theta,
        rotary_emb_interleaved: config.interleaved,
        qkv_proj_bias: qkv_bias,
        mlp_fc1_bias: fc1_bias,
        mlp_fc2_bias: fc2_bias,
        activation_function: "swiglu".into(),
        prenorm: false,
        model_type: None,
    };
    let (builder, multiply_adds) = tensors.finish();
    Ok(Loaded {
        model: Model::NomicBert(NomicBertModel::load(builder, &config)?),
        vocabulary: vocab_size,
        multiply_adds,
    })
}
