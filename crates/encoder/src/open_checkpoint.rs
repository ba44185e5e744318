//! An open checkpoint: settings and tokenizer are read and checked, weights are read by name on demand.
//!
//! In: a model's name and [`LoadOptions`]. Out: its [`TextRules`], the transformer's [`Config`], the [`TextPipeline`]
//! from texts to token ids, and [`Weights`]. The encoder is built from it; a trainer turns the weights into variables
//! and writes a new checkpoint.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::families::{self, Module};
use crate::fingerprint::Fingerprint;
use crate::models::{AnyConfig, Config};
use crate::options::LoadOptions;
use crate::pipeline::TextPipeline;
use crate::text_rules::TextRules;
use crate::tokenizer::TextTokenizer;
use crate::weights::Weights;

/// Names of the files other than weights that a checkpoint may have in its root.
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

/// Settings and tokenizer of a checkpoint of any architecture.
pub(crate) struct Settings {
    pub(crate) files: Checkpoint,
    pub(crate) text_rules: TextRules,
    pub(crate) config: AnyConfig,
    pub(crate) pipeline: TextPipeline,
    /// Hash of the settings, to which the weights are added.
    pub(crate) fingerprint: Fingerprint,
}

impl Settings {
    /// Opens a folder, a hub id or the shipped model.
    pub(crate) fn open(model: &str, options: &LoadOptions) -> Result<Self> {
        let files = Checkpoint::open(model, options.revision.as_deref())?;
        let json = files.require_json("config.json")?;
        let config = AnyConfig::read(&json)?;
        let positions = config.positions();
        let mut text_rules = families::read(&files, &json, config.hidden(), positions)?;
        // The checkpoint's own lengths are hashed, not the caller's: another maximum length changes which tokens are
        // encoded, not their embeddings' meaning, and an index stores its lengths by itself. The name "recipe" is part
        // of the hash: another name would make existing indexes refuse their model.
        let mut fingerprint = Fingerprint::new();
        fingerprint.json("recipe", &text_rules);
        text_rules.set_max_lens(options.query_maxlen, options.passage_maxlen, positions);
        config.hash(&mut fingerprint);
        let tokenizer = TextTokenizer::load(&files, &mut fingerprint)?;
        let pipeline = TextPipeline::new(model, &text_rules, tokenizer, positions)?;
        Ok(Self { files, text_rules, config, pipeline, fingerprint })
    }
}

/// A checkpoint whose settings and tokenizer have been read, and whose weights have not.
pub struct OpenCheckpoint {
    files: Checkpoint,
    text_rules: TextRules,
    config: Config,
    pipeline: TextPipeline,
}

impl std::fmt::Debug for OpenCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCheckpoint").field("model", &self.model()).finish_non_exhaustive()
    }
}

impl OpenCheckpoint {
    /// Opens a folder, a hub id or the shipped model. Only the maximum lengths and the revision of the options are
    /// used; the architecture has to be one of [`Config`].
    ///
    /// # Errors
    /// - The model is not found: [`Error::UnknownModel`], [`Error::Offline`], [`Error::Hub`].
    /// - A settings file is missing or malformed: [`Error::MissingFile`], [`Error::NotCached`], [`Error::LfsPointer`],
    ///   [`Error::Io`], [`Error::MalformedJson`].
    /// - The checkpoint uses an unsupported feature: [`Error::UnsupportedArchitecture`], [`Error::Unsupported`].
    /// - The settings or options do not fit the tokenizer or the transformer: [`Error::UnknownToken`],
    ///   [`Error::MaxLength`], [`Error::Tokenizer`].
    pub fn open(model: &str, options: &LoadOptions) -> Result<Self> {
        let Settings { files, text_rules, config, pipeline, .. } = Settings::open(model, options)?;
        let config = config.own(&files.describe("config.json"))?;
        Ok(Self { files, text_rules, config, pipeline })
    }

    /// Folder, hub id or name of the shipped model, as requested.
    pub fn model(&self) -> &str {
        self.files.model()
    }

    /// Rules for texts and settings of the projection, with the caller's maximum lengths.
    pub fn text_rules(&self) -> &TextRules {
        &self.text_rules
    }

    /// Sizes, tensor names and rules of the transformer.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Pipeline from texts to token ids.
    pub fn pipeline(&self) -> &TextPipeline {
        &self.pipeline
    }

    /// Opens the tensors of one module: of the folder of a [`DenseSpec`](crate::DenseSpec), or of the transformer ("").
    ///
    /// # Errors
    /// - The folder has no safetensors: [`Error::MissingFile`], [`Error::PickledWeights`], [`Error::LfsPointer`].
    /// - They are not valid: [`Error::MalformedWeights`], [`Error::MalformedJson`].
    /// - Reading or fetching them fails: [`Error::Io`], [`Error::Hub`].
    pub fn weights(&self, folder: &str) -> Result<Weights<'static>> {
        Weights::open(&self.files, folder, None)
    }

    /// Copies all files except the weights into `folder`, and creates the folder of every
    /// [`DenseSpec`](crate::DenseSpec). Once `folder` and each of these folders have a `model.safetensors`, `folder` is
    /// a complete checkpoint.
    ///
    /// # Errors
    /// - A file cannot be read or written: [`Error::Io`], [`Error::LfsPointer`], [`Error::Hub`].
    /// - `modules.json` is not valid: [`Error::MalformedJson`].
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
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(io(parent))?;
                }
                std::fs::write(&path, self.files.read(&name)?).map_err(io(&path))?;
            }
        }
        Ok(())
    }
}
