//! From a skiplist's words to token ids: each family computes them its own way, and each way has its trap.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::Result;
use crate::tokenizer::TextTokenizer;

/// How a word of the skiplist becomes a token id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Rule {
    /// Stanford: the first piece of the word when it is tokenized, which on a sentencepiece vocabulary can be the
    /// bare word-start mark. Padding tokens are dropped with them, even literal ones in the text.
    FirstPieceAndPadding,
    /// PyLate: the word's own id. A word that the vocabulary lacks stands for the unknown token, so that every
    /// unknown token of a passage is dropped.
    IdOrUnknown,
    /// sentence-transformers: the word's own id; a word that the vocabulary lacks is left out.
    #[default]
    KnownId,
}

/// The ids to drop.
pub(crate) fn resolve(rule: Rule, words: &[String], tokenizer: &TextTokenizer) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    for word in words {
        match rule {
            Rule::FirstPieceAndPadding => ids.extend(tokenizer.pieces(word)?.first()),
            Rule::IdOrUnknown => ids.extend(tokenizer.id(word).or(tokenizer.special.unknown)),
            Rule::KnownId => ids.extend(tokenizer.id(word)),
        }
    }
    if rule == Rule::FirstPieceAndPadding {
        ids.extend(tokenizer.special.pad);
    }
    Ok(ids)
}
