//! Transformers without a projection, including the classic single-vector models of sentence-transformers.
//!
//! The embedding of every token is kept: no prefix token, no `[MASK]` expansion, no skiplist. A classic `modules.json`
//! (Transformer, Pooling, Normalize) only adds rules for texts: surrounding whitespace is stripped, a prompt is
//! prepended, `do_lower_case` applies. [`crate::Encoder::encode_dense`] computes its pooling.

use super::modules::{PASSAGE_PROMPTS, prompt};
use crate::checkpoint::{Checkpoint, Json};
use crate::error::Result;
use crate::text_rules::{Family, TextConfig, TextRules};

const DEFAULT_QUERY_LEN: usize = 32;
const DEFAULT_PASSAGE_LEN: usize = 180;

/// Reads prompts and flags. `positions` is the longest sequence of the transformer.
pub(super) fn read(checkpoint: &Checkpoint, settings: Option<&Json>, positions: usize) -> Result<TextRules> {
    let transformer = checkpoint.decisive_json("sentence_bert_config.json")?;
    let lowercase = transformer.map_or(Ok(None), |json| json.bool("do_lower_case"))?.unwrap_or(false);
    let config = |max_len: usize, names: &[&str]| -> Result<TextConfig> {
        Ok(TextConfig { max_len: max_len.min(positions), prompt: prompt(settings, names)?, ..TextConfig::default() })
    };
    Ok(TextRules {
        family: Family::Plain,
        query: config(DEFAULT_QUERY_LEN, &["query"])?,
        passage: config(DEFAULT_PASSAGE_LEN, &PASSAGE_PROMPTS)?,
        expansion: None,
        strip: checkpoint.has("modules.json")?,
        lowercase,
        projection: Vec::new(),
    })
}
