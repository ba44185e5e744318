//! Turns texts into the token ids that the transformer reads, and decides which of them are attended and kept.
//!
//! In: a [`TextRules`] resolved against the tokenizer. Out: a [`TokenizedText`] per text.

mod located;

pub use located::{EmbeddedToken, TokenKind};

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;
use tokenizers::Encoding;

use crate::error::{Error, Result};
use crate::skiplist;
use crate::text_rules::{Family, PrefixToken, TextConfig, TextKind, TextRules};
use crate::tokenizer::TextTokenizer;

/// Token ids of one text, as the transformer reads them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenizedText {
    /// Special tokens, prefix token, text and expansion.
    pub ids: Vec<u32>,
    /// Number of attended tokens, which come first. The tokens after them are `[MASK]`s, which attend to them but are
    /// not attended to.
    pub attended: usize,
    /// Positions whose embeddings are returned, ascending.
    pub kept: Vec<usize>,
    /// Whether the text was cut at the maximum length.
    pub is_truncated: bool,
}

/// Bytes per token of the first prefix that is tokenized: more than most texts need.
const BYTES_PER_TOKEN: usize = 8;

/// Lower bound of [`longest_prefix`].
const LONGEST_PREFIX: usize = 1 << 18;

/// Length in bytes of the longest prefix of a text that is tokenized to find its first `capacity` tokens. Bytes after
/// it are ignored, which bounds memory. It is reached only where shorter prefixes do not determine the tokens, as with
/// one word of 256 KiB or that much whitespace at the beginning.
pub(crate) fn longest_prefix(capacity: usize) -> usize {
    LONGEST_PREFIX.max(4 * first_prefix(capacity))
}

/// Length in bytes of the first prefix of a text that is tokenized to find its first `capacity` tokens.
pub(crate) fn first_prefix(capacity: usize) -> usize {
    BYTES_PER_TOKEN.saturating_mul(capacity).saturating_add(256)
}

/// Prefix of a text of at most `len` bytes.
pub(crate) fn prefix(text: &str, len: usize) -> &str {
    &text[..text.floor_char_boundary(len)]
}

/// Pipeline from texts to token ids: a [`TextRules`] resolved against a tokenizer.
pub struct TextPipeline {
    tokenizer: TextTokenizer,
    strip: bool,
    lowercase: bool,
    query: ResolvedConfig,
    passage: ResolvedConfig,
    expansion: Option<ResolvedExpansion>,
    /// Special tokens that the tokenizer adds to every text.
    added: Vec<u32>,
    /// Length of the longest sequence of the transformer.
    pub(crate) max_tokens: usize,
}

/// A [`TextConfig`] with ids in place of words.
struct ResolvedConfig {
    max_len: usize,
    prefix_token: Option<u32>,
    prompt: String,
    skip: BTreeSet<u32>,
    keep_only: BTreeSet<u32>,
}

/// An [`Expansion`](crate::Expansion) with ids in place of words.
struct ResolvedExpansion {
    length: usize,
    attend: bool,
    id: u32,
    /// Id of the padding token, if it is replaced with `id` in a query's text.
    replaces: Option<u32>,
}

impl std::fmt::Debug for TextPipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextPipeline").finish_non_exhaustive()
    }
}

impl TextPipeline {
    /// Resolves every word of the rules. `most` is the longest sequence of the transformer.
    pub(crate) fn new(model: &str, text_rules: &TextRules, mut tokenizer: TextTokenizer, most: usize) -> Result<Self> {
        let mut lowercase = text_rules.lowercase;
        match text_rules.family {
            Family::PyLate => {
                let prefix_tokens = [&text_rules.query.prefix_token, &text_rules.passage.prefix_token];
                tokenizer.add_tokens(prefix_tokens.into_iter().flatten().map(|prefix| prefix.token.as_str()))?;
            }
            // Special tokens in the text keep their case in this family; in others they are lowercased with it.
            Family::SentenceTransformers if std::mem::take(&mut lowercase) => tokenizer.lowercase()?,
            _ => {}
        }
        let query = resolve((model, TextKind::Query), &text_rules.query, &tokenizer, most)?;
        let passage = resolve((model, TextKind::Passage), &text_rules.passage, &tokenizer, most)?;
        let expansion = match &text_rules.expansion {
            None => None,
            Some(expansion) => {
                let unknown = |token: &str| Error::UnknownToken {
                    model: model.to_owned(),
                    token: token.to_owned(),
                    role: "query expansion",
                };
                let id = match &expansion.token {
                    Some(token) => tokenizer.id(token).ok_or_else(|| unknown(token))?,
                    None => tokenizer.special.mask.or(tokenizer.special.end).ok_or_else(|| unknown("[MASK]"))?,
                };
                let replaces = tokenizer.special.pad.filter(|_| expansion.replace_pad);
                Some(ResolvedExpansion { length: expansion.length, attend: expansion.attend, id, replaces })
            }
        };
        let added = tokenizer.complete(tokenizer.tokens("")?, 0)?.get_ids().to_vec();
        Ok(Self { tokenizer, strip: text_rules.strip, lowercase, query, passage, expansion, added, max_tokens: most })
    }

    /// Whether a text is blank. A blank text has no embeddings here; the reference libraries return the rows of its
    /// special tokens.
    pub(crate) fn is_blank(text: &str) -> bool {
        strip(text).is_empty()
    }

    /// Tokenizes texts as queries or as passages: one result per text, in order, truncated to the maximum length of its
    /// kind. A blank text has no tokens.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer fails on a text.
    pub fn tokenize(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Vec<TokenizedText>> {
        let tokenize = |text: &str| match Self::is_blank(text) {
            true => Ok(TokenizedText::default()),
            false => self.tokenize_one(text, kind),
        };
        texts.par_iter().map(|text| tokenize(text.as_ref())).collect()
    }

    /// Tokenizes one text, even a blank one.
    pub(crate) fn tokenize_one(&self, text: &str, kind: TextKind) -> Result<TokenizedText> {
        let (tokens, is_truncated) = self.tokens(text, self.config(kind), false)?;
        Ok(self.assemble(tokens.get_ids().to_vec(), is_truncated, kind))
    }

    /// Maximum number of tokens of a passage, special tokens and prefix token included.
    pub(crate) fn passage_maxlen(&self) -> usize {
        self.passage.max_len
    }

    /// Number of tokens of a passage's text, prompt included, that fit beside prefix token and special tokens.
    pub(crate) fn passage_capacity(&self) -> usize {
        self.passage.capacity(&self.tokenizer)
    }

    /// Byte ranges of all tokens of a passage, prompt included, without a maximum length; and the number of them that
    /// stay the same whatever text follows.
    pub(crate) fn all_spans(&self, text: &str) -> Result<(Vec<Range<usize>>, usize)> {
        let prepared = self.prepare(text, &self.passage);
        let tokens = self.tokenizer.tokens_with_offsets(&prepared)?;
        let num_sure = self.tokenizer.num_sure(&tokens, &prepared);
        Ok((self.locate(text, &self.passage, &tokens), num_sure))
    }

    /// Number of tokens of a passage, prompt included, without prefix token and special tokens.
    pub(crate) fn num_tokens(&self, passage: &str) -> Result<usize> {
        Ok(self.tokenizer.tokens(&self.prepare(passage, &self.passage))?.len())
    }

    fn config(&self, kind: TextKind) -> &ResolvedConfig {
        match kind {
            TextKind::Query => &self.query,
            TextKind::Passage => &self.passage,
        }
    }

    /// Returns the tokens of a text that fit, with the tokenizer's special tokens, and whether the text was cut.
    ///
    /// Only the prefix that determines them is tokenized, up to [`longest_prefix`]: a text of many megabytes costs no
    /// more than one that is slightly too long.
    fn tokens(&self, text: &str, config: &ResolvedConfig, with_offsets: bool) -> Result<(Encoding, bool)> {
        let capacity = config.capacity(&self.tokenizer);
        let longest = longest_prefix(capacity);
        let mut len = first_prefix(capacity);
        loop {
            let prefix = prefix(text, len);
            let prepared = self.prepare(prefix, config);
            let is_whole = prefix.len() == text.len();
            let tokens = if is_whole && !with_offsets {
                self.tokenizer.tokens(&prepared)?
            } else {
                self.tokenizer.tokens_with_offsets(&prepared)?
            };
            if is_whole || len >= longest || self.tokenizer.num_sure(&tokens, &prepared) > capacity {
                let is_truncated = !is_whole || tokens.len() > capacity;
                return Ok((self.tokenizer.complete(tokens, capacity)?, is_truncated));
            }
            len = (2 * len).min(longest);
        }
    }

    /// Adds prefix token and expansion to a text's tokens, and decides which are attended and kept.
    fn assemble(&self, mut ids: Vec<u32>, is_truncated: bool, kind: TextKind) -> TokenizedText {
        let config = self.config(kind);
        if let Some(prefix_token) = config.prefix_token {
            ids.insert(1.min(ids.len()), prefix_token);
        }
        let mut attended = ids.len();
        if let (Some(expansion), TextKind::Query) = (&self.expansion, kind) {
            for id in ids.iter_mut().filter(|id| Some(**id) == expansion.replaces) {
                *id = expansion.id;
            }
            ids.resize(ids.len().max(expansion.length), expansion.id);
            if expansion.attend {
                attended = ids.len();
            }
        }
        let ResolvedConfig { skip, keep_only, .. } = config;
        let keeps = |id: &u32| !skip.contains(id) && (keep_only.is_empty() || keep_only.contains(id));
        let kept = ids.iter().enumerate().filter(|(_, id)| keeps(id)).map(|(position, _)| position).collect();
        TokenizedText { ids, attended, kept, is_truncated }
    }

    /// Passage of a single token, of which only that token is kept.
    pub(crate) fn single_token(&self, id: u32) -> TokenizedText {
        let mut ids = self.added.clone();
        let at = 1.min(ids.len());
        ids.insert(at, id);
        ids.splice(at..at, self.passage.prefix_token);
        let kept = vec![at + self.passage.num_prefix_tokens()];
        TokenizedText { attended: ids.len(), ids, kept, is_truncated: false }
    }

    /// Iterates over the positions and spellings of a text's own tokens, without special tokens, prefix tokens and
    /// expansion tokens.
    pub fn text_tokens<'a>(&'a self, text: &'a TokenizedText) -> impl Iterator<Item = (usize, String)> + 'a {
        let expansion = self.expansion.as_ref().map(|expansion| expansion.id);
        let others = [self.query.prefix_token, self.passage.prefix_token, expansion];
        let added = move |id: u32| self.added.contains(&id) || others.contains(&Some(id));
        let tokens = text.ids[..text.attended].iter().enumerate().filter(move |&(_, &id)| !added(id));
        tokens.map(|(position, &id)| (position, self.tokenizer.spelling(id).unwrap_or_default()))
    }

    /// Vocabulary of a WordPiece tokenizer, by id; `None` for any other tokenizer.
    pub fn word_pieces(&self) -> Option<Vec<String>> {
        self.tokenizer.word_pieces()
    }

    /// Applies prompt, strip and lowercase.
    fn prepare(&self, text: &str, config: &ResolvedConfig) -> String {
        let text = format!("{}{text}", config.prompt);
        let text = if self.strip { strip(&text) } else { &text };
        if self.lowercase { text.to_lowercase() } else { text.to_owned() }
    }
}

impl ResolvedConfig {
    fn num_prefix_tokens(&self) -> usize {
        usize::from(self.prefix_token.is_some())
    }

    /// Number of tokens of a text that fit beside the prefix token and the tokenizer's special tokens.
    fn capacity(&self, tokenizer: &TextTokenizer) -> usize {
        self.max_len - self.num_prefix_tokens() - tokenizer.num_added
    }
}

/// Looks up the words of a [`TextConfig`] and checks its maximum length.
fn resolve(
    (model, kind): (&str, TextKind),
    config: &TextConfig,
    tokenizer: &TextTokenizer,
    most: usize,
) -> Result<ResolvedConfig> {
    let prefix_token =
        config.prefix_token.as_ref().map(|prefix| prefix_token_id(model, prefix, tokenizer)).transpose()?;
    let least = tokenizer.num_added + usize::from(prefix_token.is_some()) + 1;
    if !(least..=most).contains(&config.max_len) {
        return Err(Error::MaxLength { model: model.to_owned(), kind, requested: config.max_len, least, most });
    }
    Ok(ResolvedConfig {
        max_len: config.max_len,
        prefix_token,
        prompt: config.prompt.clone(),
        skip: skiplist::resolve(config.skiplist_rule, &config.skiplist, tokenizer)?,
        keep_only: config.keep_only.iter().copied().collect(),
    })
}

fn prefix_token_id(model: &str, prefix: &PrefixToken, tokenizer: &TextTokenizer) -> Result<u32> {
    let fallback = tokenizer.special.unknown.filter(|_| prefix.or_unknown);
    tokenizer.id(&prefix.token).or(fallback).ok_or_else(|| Error::UnknownToken {
        model: model.to_owned(),
        token: prefix.token.clone(),
        role: "the prefix token of queries or passages",
    })
}

/// Strips a text as Python's `str.strip()` does: of Unicode whitespace, and of four ASCII separators (U+001C to U+001F)
/// that are not whitespace in Rust.
fn strip(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Strips the beginning of a text as [`strip`] does.
fn strip_start(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// Whether [`strip`] removes a character.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests;
