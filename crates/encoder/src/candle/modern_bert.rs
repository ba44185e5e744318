//! ModernBERT.

use candle_core::Device;
use candle_transformers::models::modernbert::{Config, ModernBert};

use super::model::{Loaded, Model};
use super::tensors::Tensors;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::models::ModernBertConfig;
use crate::ops::Elementwise;
use crate::text_rules::TextRules;
use crate::weights::Weights;

/// Loads the weights. `longest` is the number of positions of the rotary tables.
pub(super) fn load(
    config: ModernBertConfig,
    files: &Checkpoint,
    text_rules: &TextRules,
    weights: &mut Weights<'_>,
    longest: usize,
    device: &Device,
) -> Result<Loaded> {
    let global_attn_every_n_layers = check(&config, text_rules).map_err(|what| {
        let what = format!("{what} with the executor candle");
        Error::Unsupported { path: files.describe("config.json"), what }
    })?;
    let ModernBertConfig { hidden, intermediate, .. } = config;
    let mut tensors = Tensors::new(weights, ModernBertConfig::WORD_TABLE, device)?;
    let to = |name: &str| format!("model.{name}");
    let word = to(ModernBertConfig::WORD_TABLE);
    let vocab_size = tensors.table(ModernBertConfig::WORD_TABLE, &word, config.vocabulary, hidden)?;
    for name in ["embeddings.norm", "final_norm"] {
        tensors.norm(name, &to(name), hidden, false)?;
    }
    for layer in 0..config.is_global.len() {
        let part = |name: &str| {
            let name = format!("layers.{layer}.{name}");
            let to = to(&name);
            (name, to)
        };
        // candle applies this norm in each layer that has one. The first has none, whatever the checkpoint stores.
        if layer > 0 {
            let (from, to) = part("attn_norm");
            tensors.norm(&from, &to, hidden, false)?;
        }
        tensors.linear(&[part("attn.Wqkv")], false, hidden, 3 * hidden)?;
        tensors.linear(&[part("attn.Wo")], false, hidden, hidden)?;
        let (from, to) = part("mlp_norm");
        tensors.norm(&from, &to, hidden, false)?;
        tensors.linear(&[part("mlp.Wi")], false, hidden, 2 * intermediate)?;
        tensors.linear(&[part("mlp.Wo")], false, intermediate, hidden)?;
    }
    let config = Config {
        vocab_size,
        hidden_size: hidden,
        num_hidden_layers: config.is_global.len(),
        num_attention_heads: config.num_heads,
        intermediate_size: intermediate,
        max_position_embeddings: longest,
        layer_norm_eps: config.eps,
        pad_token_id: 0,
        global_attn_every_n_layers,
        global_rope_theta: config.global_theta,
        local_attention: 2 * config.window,
        local_rope_theta: config.local_theta,
        classifier_config: None,
    };
    let (builder, multiply_adds) = tensors.finish();
    Ok(Loaded { model: Model::ModernBert(ModernBert::load(builder, &config)?), vocabulary: vocab_size, multiply_adds })
}

/// Checks that candle computes a configuration; returns the distance of the global layers, or what is not computed.
fn check(config: &ModernBertConfig, text_rules: &TextRules) -> std::result::Result<usize, String> {
    if config.activation != Elementwise::Gelu {
        return Err(format!("the activation {:?}", config.activation));
    }
    for (name, flag) in
        [("norm_bias", config.norm_bias), ("attention_bias", config.attention_bias), ("mlp_bias", config.mlp_bias)]
    {
        if flag {
            return Err(name.into());
        }
    }
    // In a local layer of candle, a token with no attended token in its window attends to the masked ones there. In the
    // reference, and in our own layers, it attends to nothing. At least the first token of a query is attended.
    let expanded = text_rules.expansion.as_ref().filter(|expansion| !expansion.attend);
    if let Some(length) = expanded.map(|expansion| expansion.length).filter(|length| *length > config.window + 1)
        && config.is_global.contains(&false)
    {
        let most = config.window + 1;
        return Err(format!("queries expanded to {length} tokens that are not attended to, more than {most},"));
    }
    let every = config.is_global.iter().skip(1).position(|&is_global| is_global).unwrap_or(config.is_global.len()) + 1;
    match config.is_global.iter().enumerate().all(|(layer, &is_global)| is_global == layer.is_multiple_of(every)) {
        true => Ok(every),
        false => Err("layer_types without a period".into()),
    }
}
