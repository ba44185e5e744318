//! Files of sentence-transformers that several families share: `modules.json` with its modules, and prompts.

use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::paths::is_inside;
use crate::text_rules::{Activation, DenseSpec};

/// Entry of `modules.json`.
pub(crate) struct Module {
    /// Last part of the class's dotted name.
    pub(crate) class: String,
    /// Full dotted name of the class.
    pub(crate) full_class: String,
    /// Folder of the module inside the checkpoint; empty for the root.
    pub(crate) folder: String,
}

impl Module {
    /// Reads the list of modules.
    ///
    /// # Errors
    /// [`Error::MalformedJson`] if it is not a list of modules, or if a path leads out of the checkpoint.
    pub(crate) fn list(modules: &Json) -> Result<Vec<Self>> {
        let list = modules.value.as_array().ok_or_else(|| modules.malformed("not a list of modules"))?;
        let module = |entry: &serde_json::Value| {
            let full_class = entry.get("type")?.as_str()?.to_owned();
            let class = full_class.rsplit('.').next().unwrap_or_default().to_owned();
            Some(Self { class, full_class, folder: entry.get("path")?.as_str()?.to_owned() })
        };
        let list = list.iter().map(module).collect::<Option<Vec<_>>>();
        let list = list.ok_or_else(|| modules.malformed("a module lacks \"type\" or \"path\""))?;
        match list.iter().find(|module| !is_inside(&module.folder)) {
            Some(module) => {
                Err(modules.malformed(format!("module path {:?} leads out of the checkpoint", module.folder)))
            }
            None => Ok(list),
        }
    }

    /// Checks that the first module is a transformer in the checkpoint's root; a transformer in a subfolder is not
    /// supported.
    pub(super) fn check_transformer(checkpoint: &Checkpoint, modules: &[Self]) -> Result<()> {
        match modules.first() {
            Some(first) if first.class == "Transformer" && first.folder.is_empty() => Ok(()),
            _ => Err(Error::Unsupported {
                path: checkpoint.describe("modules.json"),
                what: "a first module that is not a Transformer in the checkpoint's root".into(),
            }),
        }
    }

    /// Reads the `config.json` of a Dense module.
    pub(super) fn dense(&self, checkpoint: &Checkpoint) -> Result<DenseSpec> {
        let folder = self.folder.as_str();
        let config = checkpoint.require_json(&format!("{folder}/config.json"))?;
        if let Some(input) = config.string("module_input_name")?.filter(|input| input != "token_embeddings") {
            // PyLate applies every Dense layer to the token embeddings. The name would matter only in a model that also
            // has a Pooling module.
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

/// Returns the prompt that `config_sentence_transformers.json` has under the first of `names`; "" if it has none.
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

/// Names that sentence-transformers tries for a passage's prompt, in order.
pub(super) const PASSAGE_PROMPTS: [&str; 3] = ["document", "passage", "corpus"];
