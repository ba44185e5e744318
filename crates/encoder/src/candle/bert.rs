//! BERT, DistilBERT, XLM-RoBERTa and RoBERTa.

use candle_core::Device;
use candle_nn::Activation;
use candle_transformers::models::bert::{self, BertModel, HiddenAct};
use candle_transformers::models::xlm_roberta::{self, XLMRobertaModel};

use super::model::{Loaded, Model};
use super::tensors::Tensors;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::models::{BERT_NAMES, Positions, PostNormConfig};
use crate::ops::Elementwise;
use crate::weights::Weights;

/// Loads the weights.
pub(super) fn load(
    config: PostNormConfig,
    files: &Checkpoint,
    weights: &mut Weights<'_>,
    device: &Device,
) -> Result<Loaded> {
    let PostNormConfig { hidden, intermediate, ref names, .. } = config;
    let to = BERT_NAMES;
    let mut tensors = Tensors::new(weights, names.word, device)?;
    let vocab_size = tensors.table(names.word, to.word, config.vocabulary, hidden)?;
    let max_position_embeddings = tensors.table(names.position, to.position, config.table_positions, hidden)?;
    let token_types = to.token_type.expect("BERT has token types");
    let type_vocab_size = match names.token_type {
        Some(name) => tensors.table(name, token_types, 1, hidden)?,
        None => {
            tensors.zeros(token_types, 1, hidden)?;
            1
        }
    };
    tensors.norm(names.norm, to.norm, hidden, true)?;
    for layer in 0..config.num_layers {
        let part = |from: &str, part: &str| {
            (format!("{}.{layer}.{from}", names.layer), format!("{}.{layer}.{part}", to.layer))
        };
        tensors.linear(&[part(names.attention_out, to.attention_out)], true, hidden, hidden)?;
        tensors.linear(&[part(names.up, to.up)], true, hidden, intermediate)?;
        tensors.linear(&[part(names.down, to.down)], true, intermediate, hidden)?;
        let qkv = [(names.query, to.query), (names.key, to.key), (names.value, to.value)];
        tensors.linear(&qkv.map(|(from, to)| part(from, to)), true, hidden, hidden)?;
        for (from, to) in [(names.attention_norm, to.attention_norm), (names.output_norm, to.output_norm)] {
            let (from, to) = part(from, to);
            tensors.norm(&from, &to, hidden, true)?;
        }
    }
    let unsupported = || Error::Unsupported {
        path: files.describe("config.json"),
        what: format!("the activation {:?} with the executor candle", config.activation),
    };
    let (builder, multiply_adds) = tensors.finish();
    let model = match config.positions {
        Positions::FromZero => {
            let config = bert::Config {
                vocab_size,
                hidden_size: hidden,
                num_hidden_layers: config.num_layers,
                num_attention_heads: config.num_heads,
                intermediate_size: intermediate,
                hidden_act: match config.activation {
                    Elementwise::Gelu => HiddenAct::Gelu,
                    Elementwise::GeluTanh => HiddenAct::GeluApproximate,
                    Elementwise::Relu => HiddenAct::Relu,
                    _ => return Err(unsupported()),
                },
                max_position_embeddings,
                type_vocab_size,
                layer_norm_eps: config.eps,
                model_type: None,
                ..bert::Config::default()
            };
            Model::Bert(BertModel::load(builder, &config)?)
        }
        Positions::AfterPadding(pad_token_id) => {
            let config = xlm_roberta::Config {
                hidden_size: hidden,
                layer_norm_eps: config.eps,
                attention_probs_dropout_prob: 0.0,
                hidden_dropout_prob: 0.0,
                num_attention_heads: config.num_heads,
                position_embedding_type: "absolute".into(),
                intermediate_size: intermediate,
                hidden_act: match config.activation {
                    Elementwise::Gelu => Activation::Gelu,
                    Elementwise::GeluTanh => Activation::NewGelu,
                    Elementwise::Relu => Activation::Relu,
                    Elementwise::Silu => Activation::Silu,
                    _ => return Err(unsupported()),
                },
                num_hidden_layers: config.num_layers,
                vocab_size,
                max_position_embeddings,
                type_vocab_size,
                pad_token_id,
            };
            Model::XlmRoberta(XLMRobertaModel::new(&config, builder)?)
        }
    };
    Ok(Loaded { model, vocabulary: vocab_size, multiply_adds })
}
