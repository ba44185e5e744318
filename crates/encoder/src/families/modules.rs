//! The files that sentence-transformers writes and several families share: `modules.json` with its modules, and prompts.

use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::text_rules::{Activation, DenseSpec};

/// One entry of `modules.json`.
pub(crate) struct Module {
    /// The last part of the class's dotted name.
    pub(crate) class: String,
    /// The class's full dotted name.
    pub(crate) full_class: String,
    /// Its folder; empty for the checkpoint's root.
    pub(crate) folder: String,
}

impl Module {
    pub(crate) fn list(modules: &Json) -> Result<Vec<Self>> {
        let list = modules.value.as_array().ok_or_else(|| modules.malformed("not a list of modules"))?;
        let module = |entry: &serde_json::Value| {
            let full_class = entry.get("type")?.as_str()?.to_owned();
            let class = full_class.rsplit('.').next().unwrap_or_default().to_owned();
            Some(Self { class, full_class, folder: entry.get("path")?.as_str()?.to_owned() })
        };
        let list = list.iter().map(module).collect::<Option<Vec<_>>>();
        list.ok_or_else(|| modules.malformed("a module lacks \"type\" or \"path\""))
    }

    /// The transformer's own folder; only the root is read.
    pub(super) fn check_transformer(checkpoint: &Checkpoint, modules: &[Self]) -> Result<()> {
        match modules.first() {
            Some(first) if first.class == "Transformer" && first.folder.is_empty() => Ok(()),
            _ => Err(Error::Unsupported {
                path: checkpoint.describe("modules.json"),
                what: "a first module that is not a Transformer in the checkpoint's root".into(),
            }),
        }
    }

    /// Reads a Dense module: `config.json` and `model.safetensors` in a folder of its own.
    pub(super) fn dense(&self, checkpoint: &Checkpoint) -> Result<DenseSpec> {
        let folder = self.folder.as_str();
        let config = checkpoint.require_json(&format!("{folder}/config.json"))?;
        if let Some(input) = config.string("module_input_name")?.filter(|input| input != "token_embeddings") {
            // PyLate applies every Dense to token embeddings; the name only means something beside a Pooling.
            tracing::debug!(folder, input, "a Dense layer is applied to token embeddings");
        }
        let name = config.string("activation_function")?.unwrap_or_else(|| "Tanh".into());
        let activation = match name.rsplit('.').next().unwrap_or_default() {
            "Identity" => Activation::Identity,
            "Tanh" => Activation::Tanh,
            "ReLU" => Activation::Relu,
            "GELU" => Activation::Gelu,
            "SiLU" => Activation::Silu,
            "Sigmoid" => Activation::Sigmoid,
            _ => return Err(Error::Unsupported { path: config.path, what: format!("activation {name}") }),
        };
        Ok(DenseSpec {
            folder: folder.to_owned(),
            weight: "linear.weight".into(),
            in_features: config.required("in_features", config.usize("in_features")?)?,
            out_features: Some(config.required("out_features", config.usize("out_features")?)?),
            bias: config.bool("bias")?.unwrap_or(true),
            activation,
            residual: config.bool("use_residual")?.unwrap_or(false),
        })
    }
}

/// The prompt that `config_sentence_transformers.json` keeps under the first of `names` that it knows.
pub(super) fn prompt(settings: Option<&Json>, names: &[&str]) -> Result<String> {
    let Some(settings) = settings else { return Ok(String::new()) };
    let Some(prompts) = settings.get("prompts") else { return Ok(String::new()) };
    let prompt = names.iter().find_map(|name| prompts.get(name).filter(|prompt| !prompt.is_null()));
    match prompt.map(|prompt| prompt.as_str()) {
        None => Ok(String::new()),
        Some(Some(prompt)) => Ok(prompt.to_owned()),
        Some(None) => Err(settings.malformed("a prompt is not a string")),
    }
}

/// The names that sentence-transformers tries for a passage's prompt, in its order.
pub(super) const PASSAGE_PROMPTS: [&str; 3] = ["document", "passage", "corpus"];
