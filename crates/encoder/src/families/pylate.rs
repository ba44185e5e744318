//! PyLate: `modules.json` with a Transformer and a chain of Dense layers.
//!
//! Rules of `pylate.models.ColBERT`: the prefixes are tokens, inserted at position 1; with query expansion, every query
//! is padded with the mask token to exactly `query_length`, attended or not; the embeddings of skiplist tokens are
//! dropped from passages. Missing settings have the defaults of its constructor.

use super::modules::{Module, prompt};
use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::text_rules::{DenseSpec, Expansion, Family, PrefixToken, SkiplistRule, TextConfig, TextRules, punctuation};

const DEFAULT_QUERY_LENGTH: usize = 32;
const DEFAULT_DOCUMENT_LENGTH: usize = 180;
const DEFAULT_QUERY_PREFIX: &str = "[Q] ";
const DEFAULT_DOCUMENT_PREFIX: &str = "[D] ";

/// Settings that only PyLate writes.
const OWN_SETTINGS: [&str; 7] = [
    "query_prefix",
    "document_prefix",
    "query_length",
    "document_length",
    "attend_to_expansion_tokens",
    "skiplist_words",
    "do_query_expansion",
];

/// Whether PyLate saved the checkpoint: it names a class or the model type of PyLate, or has one of
/// [`OWN_SETTINGS`].
pub(super) fn recognizes(modules: &[Module], settings: Option<&Json>) -> Result<bool> {
    let Some(settings) = settings else {
        return Ok(modules.iter().any(|module| module.full_class.starts_with("pylate.")));
    };
    Ok(modules.iter().any(|module| module.full_class.starts_with("pylate."))
        || settings.string("model_type")?.as_deref() == Some("ColBERT")
        || OWN_SETTINGS.iter().any(|key| settings.get(key).is_some()))
}

/// Reads the settings and the chain of Dense layers.
pub(super) fn read(checkpoint: &Checkpoint, modules: &[Module], settings: Option<&Json>) -> Result<TextRules> {
    Module::check_transformer(checkpoint, modules)?;
    let count = |key| settings.map_or(Ok(None), |settings| settings.usize(key));
    let flag = |key| settings.map_or(Ok(None), |settings| settings.bool(key));
    let text = |key| settings.map_or(Ok(None), |settings| settings.string(key));
    let words = settings.map_or(Ok(None), |settings| settings.strings("skiplist_words"))?;
    let prefix_token = |key, default: &str| -> Result<_> {
        let token = text(key)?.unwrap_or_else(|| default.to_owned());
        // For a prefix that the vocabulary lacks, PyLate adds a random embedding, which cannot be reproduced.
        Ok((!token.is_empty()).then_some(PrefixToken { token, or_unknown: false }))
    };
    let query_length = count("query_length")?.unwrap_or(DEFAULT_QUERY_LENGTH);
    let expands = flag("do_query_expansion")?.unwrap_or(true);
    let attend = flag("attend_to_expansion_tokens")?.unwrap_or(false);
    // PyLate prepends a prompt only if the settings name a default one.
    let prompt = text("default_prompt_name")?.map_or(Ok(String::new()), |name| prompt(settings, &[&name]))?;
    let transformer = checkpoint.decisive_json("sentence_bert_config.json")?;
    Ok(TextRules {
        family: Family::PyLate,
        query: TextConfig {
            max_len: query_length,
            prefix_token: prefix_token("query_prefix", DEFAULT_QUERY_PREFIX)?,
            prompt: prompt.clone(),
            ..TextConfig::default()
        },
        passage: TextConfig {
            max_len: count("document_length")?.unwrap_or(DEFAULT_DOCUMENT_LENGTH),
            prefix_token: prefix_token("document_prefix", DEFAULT_DOCUMENT_PREFIX)?,
            prompt,
            skiplist: words.unwrap_or_else(punctuation),
            skiplist_rule: SkiplistRule::IdOrUnknown,
            ..TextConfig::default()
        },
        expansion: expands.then_some(Expansion { length: query_length, attend, token: None, replace_pad: false }),
        strip: true,
        lowercase: transformer.map_or(Ok(None), |json| json.bool("do_lower_case"))?.unwrap_or(false),
        projection: projection(checkpoint, modules)?,
    })
}

/// Reads the Dense layers in order. Other modules are ignored, as in PyLate.
fn projection(checkpoint: &Checkpoint, modules: &[Module]) -> Result<Vec<DenseSpec>> {
    let dense = modules.iter().filter(|module| module.class == "Dense");
    let chain = dense.map(|module| module.dense(checkpoint)).collect::<Result<Vec<_>>>()?;
    if chain.is_empty() {
        let path = checkpoint.describe("modules.json");
        return Err(Error::Unsupported { path, what: "a PyLate checkpoint without a Dense layer".into() });
    }
    Ok(chain)
}
