//! Token ids of a skiplist's words, by the rule of each family: see [`SkiplistRule`].

use std::collections::BTreeSet;

use crate::error::Result;
use crate::text_rules::SkiplistRule;
use crate::tokenizer::TextTokenizer;

/// Returns the ids of the tokens to drop.
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
