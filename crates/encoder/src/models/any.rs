//! The configuration of any transformer, including those that only the executor candle has.

use std::path::Path;

use super::{
    Architecture, Config, JinaBertConfig, ModernBertConfig, NomicBertConfig, bert, distilbert, jina_bert, xlm_roberta,
};
use crate::checkpoint::Json;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

/// Configuration of a transformer.
pub(crate) enum AnyConfig {
    /// Architectures of both executors.
    Own(Box<Config>),
    JinaBert(JinaBertConfig),
    NomicBert(NomicBertConfig),
}

impl AnyConfig {
    /// Reads `config.json` by its `model_type`.
    pub(crate) fn read(json: &Json) -> Result<Self> {
        let model_type = json.required("model_type", json.string("model_type")?)?;
        let own = |config| Self::Own(Box::new(config));
        Ok(match model_type.as_str() {
            "bert" if jina_bert::recognizes(json)? => Self::JinaBert(JinaBertConfig::read(json)?),
            "bert" => own(Config::PostNorm(bert::config(json)?)),
            "distilbert" => own(Config::PostNorm(distilbert::config(json)?)),
            "xlm-roberta" | "roberta" => own(Config::PostNorm(xlm_roberta::config(json)?)),
            "modernbert" => own(Config::ModernBert(ModernBertConfig::read(json)?)),
            "nomic_bert" => Self::NomicBert(NomicBertConfig::read(json)?),
            _ => {
                let path = json.path.clone();
                return Err(Error::UnsupportedArchitecture { path, found: model_type, candle_has_it: false });
            }
        })
    }

    /// Returns the configuration, if this crate's own layers compute it. `path` is that of `config.json`.
    pub(crate) fn own(self, path: &Path) -> Result<Config> {
        let found = match self {
            Self::Own(config) => return Ok(*config),
            Self::JinaBert(_) => "bert with alibi (JinaBERT)",
            Self::NomicBert(_) => "nomic_bert",
        };
        Err(Error::UnsupportedArchitecture { path: path.to_owned(), found: found.into(), candle_has_it: true })
    }

    /// Architecture of the transformer.
    pub(crate) fn architecture(&self) -> Architecture {
        match self {
            Self::Own(config) => config.architecture(),
            Self::JinaBert(_) => Architecture::JinaBert,
            Self::NomicBert(_) => Architecture::NomicBert,
        }
    }

    /// Width of a hidden state (H).
    pub(crate) fn hidden(&self) -> usize {
        match self {
            Self::Own(config) => config.hidden(),
            Self::JinaBert(config) => config.hidden,
            Self::NomicBert(config) => config.hidden,
        }
    }

    /// Maximum number of tokens of a sequence.
    pub(crate) fn positions(&self) -> usize {
        match self {
            Self::Own(config) => config.positions(),
            Self::JinaBert(config) => config.positions,
            Self::NomicBert(config) => config.positions,
        }
    }

    pub(crate) fn hash(&self, fingerprint: &mut Fingerprint) {
        match self {
            Self::Own(config) => config.hash(fingerprint),
            Self::JinaBert(config) => fingerprint.json("config", config),
            Self::NomicBert(config) => fingerprint.json("config", config),
        }
    }
}
