//! A checkpoint whose weights can change: the same texts to the same embeddings as the encoder, with gradients.

use std::path::Path;

use candle_core::{DType, Tensor};

use super::blocks::{activate, linear, unit};
use super::forward::{Padded, forward};
use super::loss::Encoded;
use super::params::{Params, StoredAs};
use super::{ops, ragged};
use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::families::{self, Module};
use crate::fingerprint::Fingerprint;
use crate::models::{Config, PostNormConfig};
use crate::recipe::{DenseSpec, Recipe, TextKind};
use crate::rows::{Row, Rows};
use crate::tokenizer::TextTokenizer;
use crate::{Error, LoadOptions, Result};

/// Files beside the weights that make a checkpoint, where it has them.
const SIDE_FILES: [&str; 10] = [
    "config.json",
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "artifact.metadata",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "sentence_transformers_config.json",
];

/// A checkpoint in training.
pub struct Student {
    checkpoint: Checkpoint,
    recipe: Recipe,
    pub(super) rows: Rows,
    config: Config,
    pub(super) params: Params,
}

impl std::fmt::Debug for Student {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Student").field("model", &self.checkpoint.model()).finish_non_exhaustive()
    }
}

impl Student {
    /// Loads a folder or a hub id, of any family and architecture that [`Encoder::load`](crate::Encoder::load) takes.
    ///
    /// # Errors
    /// As there.
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self> {
        Self::load_as(model, options, DType::F32)
    }

    /// The same, to compute in another type.
    pub(super) fn load_as(model: &str, options: &LoadOptions, dtype: DType) -> Result<Self> {
        let checkpoint = Checkpoint::open(model, options.revision.as_deref())?;
        let json = checkpoint.require_json("config.json")?;
        let config = Config::read(&json)?;
        let mut recipe = families::read(&checkpoint, &json, config.hidden(), config.positions())?;
        recipe.set_max_lens(options.query_maxlen, options.passage_maxlen);
        let tokenizer = TextTokenizer::load(&checkpoint, &mut Fingerprint::new())?;
        let rows = Rows::new(model, &recipe, tokenizer, config.positions())?;
        let mut params = Params::new(dtype);
        params.read(&checkpoint, "")?;
        for spec in &recipe.projection {
            params.read(&checkpoint, &spec.folder)?;
        }
        Ok(Self { checkpoint, recipe, rows, config, params })
    }

    /// Embeddings of texts; an empty text has no row that is kept.
    ///
    /// # Errors
    /// If the tokenizer fails on a text, or the checkpoint lacks a tensor.
    pub fn encode(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Encoded> {
        self.embed(&self.rows.of_texts(texts, kind)?)
    }

    /// Embeddings of rows.
    pub(super) fn embed(&self, rows: &[Row]) -> Result<Encoded> {
        match &self.config {
            Config::PostNorm(config) if self.params.dtype == DType::F32 => self.embed_ragged(config, rows),
            _ => self.embed_padded(rows),
        }
    }

    /// By candle's own operations: in f64, too, and of every architecture.
    pub(super) fn embed_padded(&self, rows: &[Row]) -> Result<Encoded> {
        let batch = Padded::new(rows, self.params.dtype)?;
        let x = self.project(forward(&self.config, &self.params, &batch)?)?;
        Ok(Encoded { embeddings: unit(&x)?, kept: batch.kept })
    }

    /// By `ops`, without padding; the result is padded.
    fn embed_ragged(&self, config: &PostNormConfig, rows: &[Row]) -> Result<Encoded> {
        let batch = Batch::new(rows.iter());
        let padded = Padded::new(rows, DType::F32)?;
        if batch.ids.is_empty() {
            return self.embed_padded(rows);
        }
        let x = self.project(ragged::post_norm(config, &self.params, &batch)?)?;
        let embeddings = padded.of_ragged(&ops::unit(&x)?, &batch.spans)?;
        Ok(Encoded { embeddings, kept: padded.kept })
    }

    /// Hidden states (.., H) to (.., D).
    fn project(&self, mut x: Tensor) -> Result<Tensor> {
        for spec in &self.recipe.projection {
            x = self.dense(spec, &x)?;
        }
        Ok(x)
    }

    /// `projection.rs`.
    fn dense(&self, spec: &DenseSpec, x: &Tensor) -> Result<Tensor> {
        let get = |name: &str| self.params.get(&spec.folder, name);
        let bias = if spec.bias { Some(get("linear.bias")?) } else { None };
        let y = activate(&linear(x, get(&spec.weight)?, bias)?, spec.activation.into())?;
        Ok(match spec.residual {
            false => y,
            true if self.params.contains(&spec.folder, "residual.weight") => {
                (y + linear(x, get("residual.weight")?, None)?)?
            }
            true => (y + x)?,
        })
    }

    /// Writes the checkpoint as it stands: its settings and tokenizer as they were, its weights last.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, folder: &Path, stored_as: StoredAs) -> Result<()> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let modules = match self.checkpoint.json("modules.json")? {
            Some(modules) => Module::list(&modules)?,
            None => Vec::new(),
        };
        let of_modules = modules.iter().filter(|module| !module.folder.is_empty());
        let of_modules = of_modules.map(|module| format!("{}/config.json", module.folder));
        for name in SIDE_FILES.map(str::to_owned).into_iter().chain(of_modules) {
            if self.checkpoint.has(&name)? {
                let path = folder.join(&name);
                let parent = path.parent().expect("it lies in the folder");
                std::fs::create_dir_all(parent).map_err(io(parent))?;
                std::fs::write(&path, self.checkpoint.read(&name)?).map_err(io(&path))?;
            }
        }
        self.params.save(folder, stored_as)
    }
}
