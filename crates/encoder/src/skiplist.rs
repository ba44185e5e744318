//! From a skiplist's words to token ids: each family computes them its own way, and each way has its trap.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::text_rules::SkiplistRule;
use crate::tokenizer::TextTokenizer;

/// The ids to drop.
pub(crate) fn resolve(rule: SkiplistRule, words: &[String], tokenizer: &TextTokenizer) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    for word in words {
        match rule {
            SkiplistRule::FirstPieceAndPadding => ids.extend(tokenizer.pieces(word)?.first()),
            SkiplistRule::IdOrUnknown => ids.extend(tokenizer.id(word).or(tokenizer.special.unknown)),
            SkiplistRule::KnownId => ids.extend(tokenizer.id(word)),
        }
    }
    if rule == SkiplistRule::FirstPieceAndPadding {
        ids.extend(tokenizer.special.pad);
    }
    Ok(ids)
}
