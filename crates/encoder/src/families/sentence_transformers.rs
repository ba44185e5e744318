//! The `MultiVectorEncoder` of sentence-transformers 6: Transformer, Dense, MultiVectorMask, Normalize.
//!
//! Its rules: prompts are text, tokenized with the query or passage; `query_expansion` fills queries up to `length`,
//! and cuts them there only with the strategy "fixed"; the mask module drops skiplisted tokens and may keep only some
//! ids. A word that the vocabulary lacks is left out of the skiplist.

use super::modules::{Module, prompt};
use crate::checkpoint::{Checkpoint, Json};
use crate::error::{Error, Result};
use crate::text_rules::{Expansion, Family, SkiplistRule, TextConfig, TextRules};

/// Tokenizers without a limit of their own are saved with an absurd one; above this it is none.
const NO_LIMIT: f64 = 1e6;

/// Whether the checkpoint is a `MultiVectorEncoder`: by its name, or by the module that only it has.
pub(super) fn recognizes(modules: &[Module], settings: Option<&Json>) -> Result<bool> {
    let model_type = settings.map_or(Ok(None), |settings| settings.string("model_type"))?;
    Ok(model_type.as_deref() == Some("MultiVectorEncoder")
        || modules.iter().any(|module| module.class == "MultiVectorMask"))
}

/// Reads the modules. `positions` is the longest sequence that the transformer takes.
pub(super) fn read(
    checkpoint: &Checkpoint,
    modules: &[Module],
    settings: Option<&Json>,
    positions: usize,
) -> Result<TextRules> {
    Module::check_transformer(checkpoint, modules)?;
    let transformer = checkpoint.json("sentence_bert_config.json")?;
    let transformer = transformer.as_ref();
    let count = |key| transformer.map_or(Ok(None), |json| json.usize(key));
    let longest = max_seq_length(checkpoint, transformer)?.unwrap_or(positions).min(positions);
    let mut recipe = TextRules {
        family: Family::SentenceTransformers,
        query: TextConfig {
            max_len: count("query_length")?.unwrap_or(longest),
            prompt: prompt(settings, &["query"])?,
            ..TextConfig::default()
        },
        passage: TextConfig {
            max_len: count("document_length")?.unwrap_or(longest),
            // Its documentation also names "passage" and "corpus", its code never gets to them: there is always a prompt
            // of the name "document", if an empty one.
            prompt: prompt(settings, &["document"])?,
            ..TextConfig::default()
        },
        expansion: None,
        strip: false,
        lowercase: transformer.map_or(Ok(None), |json| json.bool("do_lower_case"))?.unwrap_or(false),
        projection: Vec::new(),
    };
    if let Some(transformer) = transformer {
        expansion(transformer, &mut recipe)?;
    }
    for module in &modules[1..] {
        add(checkpoint, module, &mut recipe)?;
    }
    let masks = modules.iter().any(|module| module.class == "MultiVectorMask");
    // Without the mask module nothing keeps the added tokens; those that are not attended then leave no trace at all.
    recipe.expansion = recipe.expansion.filter(|expansion| masks || expansion.attend);
    Ok(recipe)
}

/// The limit of texts that have none of their own.
fn max_seq_length(checkpoint: &Checkpoint, transformer: Option<&Json>) -> Result<Option<usize>> {
    if let Some(length) = transformer.map_or(Ok(None), |json| json.usize("max_seq_length"))? {
        return Ok(Some(length));
    }
    let Some(tokenizer) = checkpoint.json("tokenizer_config.json")? else { return Ok(None) };
    let length = tokenizer.f64("model_max_length")?.filter(|length| (1.0..NO_LIMIT).contains(length));
    Ok(length.map(|length| length as usize))
}

/// `query_expansion: {strategy, length, attend, token}`.
fn expansion(transformer: &Json, recipe: &mut TextRules) -> Result<()> {
    let Some(value) = transformer.get("query_expansion") else { return Ok(()) };
    let config = Json { path: transformer.path.clone(), value: value.clone() };
    let length = config.required("length", config.usize("length")?)?;
    match config.required("strategy", config.string("strategy")?)?.as_str() {
        "fixed" => recipe.query.max_len = length,
        "min" => recipe.query.max_len = recipe.query.max_len.max(length),
        other => return Err(config.malformed(format!("query_expansion strategy {other:?} is not fixed or min"))),
    }
    let attend = config.bool("attend")?.unwrap_or(false);
    recipe.expansion = Some(Expansion { length, attend, token: config.string("token")?, replace_pad: false });
    Ok(())
}

/// Reads one module after the transformer.
fn add(checkpoint: &Checkpoint, module: &Module, recipe: &mut TextRules) -> Result<()> {
    match module.class.as_str() {
        "Dense" => recipe.projection.push(module.dense(checkpoint)?),
        // Rows leave this crate with unit norm whatever the modules say.
        "Normalize" => {}
        "MultiVectorMask" => mask(&checkpoint.require_json(&format!("{}/config.json", module.folder))?, recipe)?,
        other => {
            let path = checkpoint.describe("modules.json");
            return Err(Error::Unsupported { path, what: format!("module {other}") });
        }
    }
    Ok(())
}

/// `skiplist_words`, `skiplist_tasks`, `keep_only_token_ids`.
fn mask(config: &Json, recipe: &mut TextRules) -> Result<()> {
    let words = config.strings("skiplist_words")?.unwrap_or_default();
    let tasks = match config.get("skiplist_tasks").and_then(|tasks| tasks.as_str()) {
        Some(task) => vec![task.to_owned()],
        None => config.strings("skiplist_tasks")?.unwrap_or_else(|| vec!["document".into()]),
    };
    for (task, side) in [("query", &mut recipe.query), ("document", &mut recipe.passage)] {
        if tasks.iter().any(|name| name == task) {
            side.skiplist = words.clone();
            side.skiplist_rule = SkiplistRule::KnownId;
        }
    }
    if let Some(ids) = config.get("keep_only_token_ids") {
        let ids: Option<Vec<u32>> = ids
            .as_array()
            .and_then(|ids| ids.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect());
        recipe.passage.keep_only =
            ids.ok_or_else(|| config.malformed("\"keep_only_token_ids\" is not a list of ids"))?;
    }
    Ok(())
}
