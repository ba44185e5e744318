//! An open checkpoint: settings and tokenizer read and checked, weights by name on demand.
//!
//! In: a model's name and [`LoadOptions`]. Out: its [`TextRules`], the transformer's [`Config`], the [`TextPipeline`] from
//! texts to token ids, and [`Weights`]. The encoder is made from one; a trainer turns its weights into variables and
//! writes it back.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::families::{self, Module};
use crate::fingerprint::Fingerprint;
use crate::models::Config;
use crate::options::LoadOptions;
use crate::pipeline::TextPipeline;
use crate::text_rules::TextRules;
use crate::tokenizer::TextTokenizer;
use crate::weights::Weights;

/// Files beside the weights that make a checkpoint, where it has them.
const SETTINGS: [&str; 10] = [
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

/// A checkpoint whose settings and tokenizer are read, and whose weights are not.
pub struct OpenCheckpoint {
    pub(crate) files: Checkpoint,
    pub(crate) recipe: TextRules,
    pub(crate) config: Config,
    pub(crate) pipeline: TextPipeline,
    /// Hash of the settings, to be continued with the weights.
    pub(crate) fingerprint: Fingerprint,
}

impl std::fmt::Debug for OpenCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCheckpoint").field("model", &self.model()).finish_non_exhaustive()
    }
}

impl OpenCheckpoint {
    /// Opens a folder, a hub id or the shipped model. Of the options, the lengths and the revision are used.
    ///
    /// # Errors
    /// If a settings file is missing or malformed, asks for something that is not supported, or does not fit the
    /// tokenizer.
    pub fn open(model: &str, options: &LoadOptions) -> Result<Self> {
        let files = Checkpoint::open(model, options.revision.as_deref())?;
        let json = files.require_json("config.json")?;
        let config = Config::read(&json)?;
        let positions = config.positions();
        let mut recipe = families::read(&files, &json, config.hidden(), positions)?;
        // The checkpoint's own lengths are hashed, not the caller's: cutting texts elsewhere changes which
        // tokens there are, not what they mean, and an index remembers its lengths by itself.
        let mut fingerprint = Fingerprint::new();
        fingerprint.json("recipe", &recipe);
        recipe.set_max_lens(options.query_maxlen, options.passage_maxlen);
        config.hash(&mut fingerprint);
        let tokenizer = TextTokenizer::load(&files, &mut fingerprint)?;
        let pipeline = TextPipeline::new(model, &recipe, tokenizer, positions)?;
        Ok(Self { files, recipe, config, pipeline, fingerprint })
    }

    /// The folder or hub id, as it was asked for.
    pub fn model(&self) -> &str {
        self.files.model()
    }

    /// All settings of texts and projection, the caller's lengths included.
    pub fn recipe(&self) -> &TextRules {
        &self.recipe
    }

    /// The transformer's sizes, names and rules.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The pipeline from texts to token ids.
    pub fn pipeline(&self) -> &TextPipeline {
        &self.pipeline
    }

    /// The tensors of one module by name: of the folder of a [`DenseSpec`](crate::DenseSpec), or of the transformer ("").
    ///
    /// # Errors
    /// If the folder has no weights, or they are not valid safetensors.
    pub fn weights(&self, folder: &str) -> Result<Weights<'static>> {
        Weights::open(&self.files, folder, None)
    }

    /// Writes all files but the weights into `folder`, byte by byte as they are. With `model.safetensors` written beside
    /// them, and into the folder of every [`DenseSpec`](crate::DenseSpec), which then exist, they are a checkpoint.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn copy_settings(&self, folder: &Path) -> Result<()> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let modules = match self.files.json("modules.json")? {
            Some(modules) => Module::list(&modules)?,
            None => Vec::new(),
        };
        let of_modules = modules.iter().filter(|module| !module.folder.is_empty());
        let of_modules = of_modules.map(|module| format!("{}/config.json", module.folder));
        for name in SETTINGS.map(str::to_owned).into_iter().chain(of_modules) {
            if self.files.has(&name)? {
                let path = folder.join(&name);
                let parent = path.parent().expect("it is inside the folder");
                std::fs::create_dir_all(parent).map_err(io(parent))?;
                std::fs::write(&path, self.files.read(&name)?).map_err(io(&path))?;
            }
        }
        Ok(())
    }
}
