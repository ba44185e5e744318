//! The `MultiVectorEncoder` of sentence-transformers 6: Transformer, Dense, MultiVectorMask, Normalize.
//!
//! Rules: prompts are text, tokenized with the query or passage; `query_expansion` pads queries to `length`, and
//! truncates them to it only with the strategy "fixed"; the mask module drops the embeddings of skiplist tokens and may
//! keep only some token ids. A word that the vocabulary lacks is left out of the skiplist.

use super::modules::{Module, prompt};
use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::text_rules::{Expansion, Family, SkiplistRule, TextConfig, TextRules};

/// Least `model_max_length` that means no limit: a tokenizer without a limit is saved with about 1e30.
const NO_LIMIT: f64 = 1e6;

/// Whether the checkpoint is a `MultiVectorEncoder`: its settings say so, or it has the module `MultiVectorMask`,
/// which only this class has.
pub(super) fn recognizes(modules: &[Module], settings: Option<&Json>) -> Result<bool> {
    let model_type = settings.map_or(Ok(None), |settings| settings.string("model_type"))?;
    Ok(model_type.as_deref() == Some("MultiVectorEncoder")
        || modules.iter().any(|module| module.class == "MultiVectorMask"))
}

/// Reads settings and modules. `positions` is the longest sequence of the transformer.
pub(super) fn read(
    checkpoint: &Checkpoint,
    modules: &[Module],
    settings: Option<&Json>,
    positions: usize,
) -> Result<TextRules> {
    Module::check_transformer(checkpoint, modules)?;
    let transformer = checkpoint.decisive_json("sentence_bert_config.json")?;
    let transformer = transformer.as_ref();
    let count = |key| transformer.map_or(Ok(None), |json| json.usize(key));
    let longest = max_seq_length(checkpoint, transformer)?.unwrap_or(positions).min(positions);
    let mut text_rules = TextRules {
        family: Family::SentenceTransformers,
        query: TextConfig {
            max_len: count("query_length")?.unwrap_or(longest),
            prompt: prompt(settings, &["query"])?,
            ..TextConfig::default()
        },
        passage: TextConfig {
            max_len: count("document_length")?.unwrap_or(longest),
            // The documentation also names "passage" and "corpus", but the code never uses them: there is always a
            // prompt named "document", possibly an empty one.
            prompt: prompt(settings, &["document"])?,
            ..TextConfig::default()
        },
        expansion: None,
        strip: false,
        lowercase: transformer.map_or(Ok(None), |json| json.bool("do_lower_case"))?.unwrap_or(false),
        projection: Vec::new(),
    };
    if let Some(transformer) = transformer {
        expansion(transformer, &mut text_rules)?;
    }
    for module in &modules[1..] {
        add(checkpoint, module, &mut text_rules)?;
    }
    let masks = modules.iter().any(|module| module.class == "MultiVectorMask");
    // Without the mask module the library keeps the embeddings of attended tokens only. Added tokens that are not
    // attended therefore have no effect, and are not added.
    text_rules.expansion = text_rules.expansion.filter(|expansion| masks || expansion.attend);
    Ok(text_rules)
}

/// Maximum length of texts for which the settings have no separate length; `None` if the checkpoint has no limit.
fn max_seq_length(checkpoint: &Checkpoint, transformer: Option<&Json>) -> Result<Option<usize>> {
    if let Some(length) = transformer.map_or(Ok(None), |json| json.usize("max_seq_length"))? {
        return Ok(Some(length));
    }
    let Some(tokenizer) = checkpoint.json("tokenizer_config.json")? else { return Ok(None) };
    let length = tokenizer.f64("model_max_length")?.filter(|length| (1.0..NO_LIMIT).contains(length));
    Ok(length.map(|length| length as usize))
}

/// Reads `query_expansion: {strategy, length, attend, token}`.
fn expansion(transformer: &Json, text_rules: &mut TextRules) -> Result<()> {
    let Some(value) = transformer.get("query_expansion") else { return Ok(()) };
    let config = Json { path: transformer.path.clone(), value: value.clone() };
    let length = config.required("length", config.usize("length")?)?;
    match config.required("strategy", config.string("strategy")?)?.as_str() {
        "fixed" => text_rules.query.max_len = length,
        "min" => text_rules.query.max_len = text_rules.query.max_len.max(length),
        other => return Err(config.malformed(format!("query_expansion strategy {other:?} is not fixed or min"))),
    }
    let attend = config.bool("attend")?.unwrap_or(false);
    text_rules.expansion = Some(Expansion { length, attend, token: config.string("token")?, replace_pad: false });
    Ok(())
}

/// Reads one module after the transformer.
fn add(checkpoint: &Checkpoint, module: &Module, text_rules: &mut TextRules) -> Result<()> {
    match module.class.as_str() {
        "Dense" => text_rules.projection.push(module.dense(checkpoint)?),
        // The encoder normalizes all embeddings in any case.
        "Normalize" => {}
        "MultiVectorMask" => mask(&checkpoint.require_json(&format!("{}/config.json", module.folder))?, text_rules)?,
        other => {
            let path = checkpoint.describe("modules.json");
            return Err(Error::Unsupported { path, what: format!("module {other}") });
        }
    }
    Ok(())
}

/// Reads the mask module: `skiplist_words`, `skiplist_tasks`, `keep_only_token_ids`.
fn mask(config: &Json, text_rules: &mut TextRules) -> Result<()> {
    let words = config.strings("skiplist_words")?.unwrap_or_default();
    let tasks = match config.get("skiplist_tasks").and_then(|tasks| tasks.as_str()) {
        Some(task) => vec![task.to_owned()],
        None => config.strings("skiplist_tasks")?.unwrap_or_else(|| vec!["document".into()]),
    };
    for (task, text) in [("query", &mut text_rules.query), ("document", &mut text_rules.passage)] {
        if tasks.iter().any(|name| name == task) {
            text.skiplist = words.clone();
            text.skiplist_rule = SkiplistRule::KnownId;
        }
    }
    if let Some(ids) = config.get("keep_only_token_ids") {
        let ids: Option<Vec<u32>> = ids
            .as_array()
            .and_then(|ids| ids.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect());
        text_rules.passage.keep_only =
            ids.ok_or_else(|| config.malformed("\"keep_only_token_ids\" is not a list of ids"))?;
    }
    Ok(())
}
