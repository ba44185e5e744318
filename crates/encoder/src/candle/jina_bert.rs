//! JinaBERT.

use candle_core::Device;
use candle_nn::Activation;
use candle_transformers::models::jina_bert::{BertModel, Config, PositionEmbeddingType};

use super::model::{Loaded, Model};
use super::tensors::Tensors;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::models::JinaBertConfig;
use crate::text_rules::TextRules;
use crate::weights::Weights;

/// Loads the weights. `longest` is the length up to which the bias by distance is stored, `heads * longest^2` floats.
pub(super) fn load(
    config: JinaBertConfig,
    files: &Checkpoint,
    text_rules: &TextRules,
    weights: &mut Weights<'_>,
    longest: usize,
    device: &Device,
) -> Result<Loaded> {
    let unsupported =
        |what: &str| Err(Error::Unsupported { path: files.describe("config.json"), what: format!("JinaBERT {what}") });
    if text_rules.expansion.as_ref().is_some_and(|expansion| !expansion.attend) {
        return unsupported("with expansion tokens that are not attended to, which needs a mask that candle's lacks,");
    }
    let JinaBertConfig { hidden, intermediate, .. } = config;
    let mut tensors = Tensors::new(weights, JinaBertConfig::WORD_TABLE, device)?;
    if tensors.has("encoder.layer.0.attention.self.layer_norm_q.weight") {
        return unsupported("with norms of queries and keys");
    }
    let same = |name: String| (name.clone(), name);
    let vocab_size =
        tensors.table(JinaBertConfig::WORD_TABLE, JinaBertConfig::WORD_TABLE, config.vocabulary, hidden)?;
    let token_types = "embeddings.token_type_embeddings.weight";
    let type_vocab_size = tensors.table(token_types, token_types, 1, hidden)?;
    tensors.norm("embeddings.LayerNorm", "embeddings.LayerNorm", hidden, true)?;
    for layer in 0..config.num_layers {
        let part = |name: &str| format!("encoder.layer.{layer}.{name}");
        for name in ["query", "key", "value"] {
            tensors.linear(&[same(part(&format!("attention.self.{name}")))], true, hidden, hidden)?;
        }
        tensors.linear(&[same(part("attention.output.dense"))], true, hidden, hidden)?;
        tensors.linear(&[same(part("mlp.gated_layers"))], false, hidden, 2 * intermediate)?;
        tensors.linear(&[same(part("mlp.wo"))], true, intermediate, hidden)?;
        for name in ["attention.output.LayerNorm", "mlp.layernorm"] {
            tensors.norm(&part(name), &part(name), hidden, true)?;
        }
    }
    let config = Config {
        vocab_size,
        hidden_size: hidden,
        num_hidden_layers: config.num_layers,
        num_attention_heads: config.num_heads,
        intermediate_size: intermediate,
        hidden_act: Activation::Gelu,
        max_position_embeddings: longest,
        type_vocab_size,
        initializer_range: 0.0,
        layer_norm_eps: config.eps,
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Alibi,
    };
    let (builder, multiply_adds) = tensors.finish();
    Ok(Loaded { model: Model::JinaBert(BertModel::new(builder, &config)?), vocabulary: vocab_size, multiply_adds })
}
