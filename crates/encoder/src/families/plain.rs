//! A transformer without a projection, among them the classic single-vector models of sentence-transformers.
//!
//! Every token's vector is kept: no marker, no `[MASK]` augmentation, no skiplist. A classic `modules.json`
//! (Transformer, Pooling, Normalize) only adds its habits for text: surrounding whitespace is dropped, prompts are
//! put before, `do_lower_case` is heeded. Its pooling is what [`crate::Encoder::encode_dense`] computes.

use super::modules::{PASSAGE_PROMPTS, prompt};
use crate::checkpoint::{Checkpoint, Json};
use crate::error::Result;
use crate::text_rules::{Family, TextConfig, TextRules};

const DEFAULT_QUERY_LEN: usize = 32;
const DEFAULT_PASSAGE_LEN: usize = 180;

/// Reads what little there is. `positions` is the longest sequence that the transformer takes.
pub(super) fn read(checkpoint: &Checkpoint, settings: Option<&Json>, positions: usize) -> Result<TextRules> {
    let transformer = checkpoint.json("sentence_bert_config.json")?;
    let lowercase = transformer.map_or(Ok(None), |json| json.bool("do_lower_case"))?.unwrap_or(false);
    let side = |max_len: usize, names: &[&str]| -> Result<TextConfig> {
        Ok(TextConfig { max_len: max_len.min(positions), prompt: prompt(settings, names)?, ..TextConfig::default() })
    };
    Ok(TextRules {
        family: Family::Plain,
        query: side(DEFAULT_QUERY_LEN, &["query"])?,
        passage: side(DEFAULT_PASSAGE_LEN, &PASSAGE_PROMPTS)?,
        expansion: None,
        strip: checkpoint.has("modules.json")?,
        lowercase,
        projection: Vec::new(),
    })
}
