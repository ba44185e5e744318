//! The stock engine: candle-transformers' own model of a checkpoint, in f32, over the same token ids.
//!
//! A batch is padded to its longest text and masked, as its examples do. Its time excludes projection, unit length and
//! tokenizing. It splits products into one part per core, or `RAYON_NUM_THREADS` parts, and runs them on the current
//! rayon pool.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{bert, distilbert, modernbert, xlm_roberta};
use selvedge_encoder::TokenizedText;
use serde_json::{Value, json};
use std::path::Path;

/// A model by its architecture.
enum Model {
    Bert(bert::BertModel),
    DistilBert(distilbert::DistilBertModel),
    XlmRoberta(xlm_roberta::XLMRobertaModel),
    ModernBert(modernbert::ModernBert),
}

/// A loaded checkpoint.
pub struct Stock {
    model: Model,
    padding: u32,
}

impl Stock {
    /// Loads `config.json` and `model.safetensors` of a folder. `None` if one of them is missing, or if no
    /// variant of `Model` has the architecture.
    pub fn load(folder: &Path) -> Option<Self> {
        let config = std::fs::read(folder.join("config.json")).ok()?;
        let weights = std::fs::read(folder.join("model.safetensors")).ok()?;
        let mut config: Value = serde_json::from_slice(&config).expect("a configuration");
        // Fields that candle's configurations require, although inference does not use them.
        for (key, value) in [("hidden_dropout_prob", json!(0.0)), ("initializer_range", json!(0.02))] {
            config.as_object_mut().expect("an object").entry(key).or_insert(value);
        }
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).expect("weights");
        let model = match config["model_type"].as_str()? {
            "bert" => Model::Bert(bert::BertModel::load(weights, &parsed(&config)).expect("a BERT")),
            "distilbert" => {
                Model::DistilBert(distilbert::DistilBertModel::load(weights, &parsed(&config)).expect("a DistilBERT"))
            }
            "xlm-roberta" => {
                Model::XlmRoberta(xlm_roberta::XLMRobertaModel::new(&parsed(&config), weights).expect("an XLM-RoBERTa"))
            }
            "modernbert" => {
                Model::ModernBert(modernbert::ModernBert::load(weights, &parsed(&config)).expect("a ModernBERT"))
            }
            _ => return None,
        };
        let padding = config["pad_token_id"].as_u64().unwrap_or(0) as u32;
        Some(Self { model, padding })
    }

    /// Hidden states `(B, T, H)` of B texts, padded to the T tokens of the longest.
    pub fn encode(&self, texts: &[TokenizedText]) -> Result<Tensor> {
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let padded = |row: &dyn Fn(&TokenizedText) -> Vec<u32>, padding: u32| {
            let rows = texts.iter().flat_map(|text| {
                let mut row = row(text);
                row.resize(longest, padding);
                row
            });
            Tensor::from_iter(rows, &Device::Cpu)?.reshape((texts.len(), longest))
        };
        let ids = padded(&|text| text.ids.clone(), self.padding)?;
        let mask = padded(&|text| vec![1; text.attended], 0)?;
        let types = ids.zeros_like()?;
        match &self.model {
            Model::Bert(model) => model.forward(&ids, &types, Some(&mask)),
            // Its mask names the tokens that are hidden, for each head and query token.
            Model::DistilBert(model) => model.forward(&ids, &mask.eq(0u32)?.unsqueeze(1)?.unsqueeze(1)?),
            Model::XlmRoberta(model) => model.forward(&ids, &mask, &types, None, None, None),
            Model::ModernBert(model) => model.forward(&ids, &mask),
        }
    }
}

fn parsed<C: serde::de::DeserializeOwned>(config: &Value) -> C {
    serde_json::from_value(config.clone()).expect("a configuration that candle knows")
}
