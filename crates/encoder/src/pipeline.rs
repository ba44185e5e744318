//! From a text to the token rows that the transformer sees, and which of them are attended and kept.
//!
//! In: a [`TextRules`] resolved against the tokenizer. Out: a [`TokenizedText`] per text.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;
use tokenizers::Encoding;

use crate::error::{Error, Result};
use crate::skiplist;
use crate::text_rules::{Family, PrefixToken, TextConfig, TextKind, TextRules};
use crate::tokenizer::TextTokenizer;

/// The token ids of one text, as the transformer reads them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenizedText {
    /// Special tokens, marker, text and augmentation.
    pub ids: Vec<u32>,
    /// Tokens that attention may look at: the first so many. The rest are `[MASK]`s that look but are not seen.
    pub attended: usize,
    /// Positions whose embeddings are returned, ascending.
    pub kept: Vec<usize>,
    /// Whether the text has more tokens than these.
    pub is_truncated: bool,
}

/// Bytes of a text that are tokenized at first, for each token that it may use: more than most texts need.
const BYTES_PER_TOKEN: usize = 8;

/// Bytes of a text that are looked at, at most: [`longest_prefix`].
const LONGEST_PREFIX: usize = 1 << 18;

/// Bytes of a text that are tokenized at most to find its first `room` tokens. Text beyond them is not looked at, which
/// bounds memory: it matters where fewer bytes do not settle the tokens, as with one word of 256 KiB, or as much white
/// space at the beginning.
pub(crate) fn longest_prefix(room: usize) -> usize {
    LONGEST_PREFIX.max(4 * first_prefix(room))
}

/// Bytes of a text that are tokenized at first to find its first `room` tokens.
pub(crate) fn first_prefix(room: usize) -> usize {
    BYTES_PER_TOKEN.saturating_mul(room).saturating_add(256)
}

/// The beginning of a text, of at most `len` bytes.
pub(crate) fn prefix(text: &str, len: usize) -> &str {
    &text[..text.floor_char_boundary(len)]
}

/// The pipeline from texts to token ids: a [`TextRules`] resolved against a tokenizer.
pub struct TextPipeline {
    tokenizer: TextTokenizer,
    strip: bool,
    lowercase: bool,
    query: Resolved,
    passage: Resolved,
    fill: Option<ResolvedExpansion>,
    /// What the tokenizer adds to every text.
    added: Vec<u32>,
}

/// A [`TextConfig`] with ids in place of words.
struct Resolved {
    max_len: usize,
    marker: Option<u32>,
    prompt: String,
    skip: BTreeSet<u32>,
    keep_only: BTreeSet<u32>,
}

/// An expansion with its id.
struct ResolvedExpansion {
    length: usize,
    attend: bool,
    id: u32,
    /// The padding token's id, where it is replaced too.
    replaces: Option<u32>,
}

impl std::fmt::Debug for TextPipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextPipeline").finish_non_exhaustive()
    }
}

impl TextPipeline {
    /// Looks every word up; `most` is the longest sequence that the transformer takes.
    pub(crate) fn new(model: &str, recipe: &TextRules, mut tokenizer: TextTokenizer, most: usize) -> Result<Self> {
        let mut lowercase = recipe.lowercase;
        match recipe.family {
            Family::PyLate => {
                let markers = [&recipe.query.marker, &recipe.passage.marker].into_iter().flatten();
                tokenizer.add_tokens(markers.map(|marker| marker.token.as_str()))?;
            }
            // Its special tokens keep their case; the others' are lowercased with the text.
            Family::SentenceTransformers if std::mem::take(&mut lowercase) => tokenizer.lowercase()?,
            _ => {}
        }
        let query = resolve(model, &recipe.query, &tokenizer, most)?;
        let passage = resolve(model, &recipe.passage, &tokenizer, most)?;
        let fill = match &recipe.expansion {
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
        Ok(Self { tokenizer, strip: recipe.strip, lowercase, query, passage, fill, added })
    }

    /// Whether a text has nothing to encode: such texts get no rows, where the references would return their markers.
    pub(crate) fn is_empty(text: &str) -> bool {
        strip(text).is_empty()
    }

    /// Token ids of texts; an empty text has none.
    ///
    /// # Errors
    /// If the tokenizer fails on a text.
    pub fn tokenize(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Vec<TokenizedText>> {
        let row = |text: &str| if Self::is_empty(text) { Ok(TokenizedText::default()) } else { self.row(text, kind) };
        texts.par_iter().map(|text| row(text.as_ref())).collect()
    }

    /// The row of one text.
    pub(crate) fn row(&self, text: &str, kind: TextKind) -> Result<TokenizedText> {
        let (tokens, is_truncated) = self.tokens(text, self.side(kind), false)?;
        Ok(self.assemble(tokens.get_ids().to_vec(), is_truncated, kind))
    }

    /// The bytes of a passage that each kept token of its row covers; none for special tokens, the marker and prompts.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Range<usize>>> {
        if Self::is_empty(text) {
            return Ok(Vec::new());
        }
        let side = &self.passage;
        let (tokens, is_truncated) = self.tokens(text, side, true)?;
        let mut spans = self.locate(text, side, &tokens);
        if side.marker.is_some() {
            spans.insert(1.min(spans.len()), 0..0);
        }
        let row = self.assemble(tokens.get_ids().to_vec(), is_truncated, TextKind::Passage);
        Ok(row.kept.iter().map(|&at| spans[at].clone()).collect())
    }

    /// Tokens of a passage at most, special tokens and marker included.
    pub(crate) fn passage_maxlen(&self) -> usize {
        self.passage.max_len
    }

    /// Tokens of a passage's own, prompt included, that fit beside its marker and what the tokenizer adds.
    pub(crate) fn passage_room(&self) -> usize {
        self.passage.room(&self.tokenizer)
    }

    /// The bytes that each token of a passage covers, prompt included, however many there are; and how many of them are
    /// sure if the passage goes on.
    pub(crate) fn all_spans(&self, text: &str) -> Result<(Vec<Range<usize>>, usize)> {
        let prepared = self.prepare(text, &self.passage);
        let tokens = self.tokenizer.tokens_with_offsets(&prepared)?;
        let num_sure = self.tokenizer.num_sure(&tokens, &prepared);
        Ok((self.locate(text, &self.passage, &tokens), num_sure))
    }

    /// Number of tokens of a passage, prompt included, without marker and special tokens.
    pub(crate) fn num_tokens(&self, passage: &str) -> Result<usize> {
        Ok(self.tokenizer.tokens(&self.prepare(passage, &self.passage))?.len())
    }

    fn side(&self, kind: TextKind) -> &Resolved {
        match kind {
            TextKind::Query => &self.query,
            TextKind::Passage => &self.passage,
        }
    }

    /// A text's tokens, as many as there is room for, with the tokenizer's special ones; and whether it has more.
    ///
    /// Only as long a prefix is tokenized as settles them (up to [`longest_prefix`]), so that a text of many megabytes
    /// costs no more than one that is just too long.
    fn tokens(&self, text: &str, side: &Resolved, with_offsets: bool) -> Result<(Encoding, bool)> {
        let room = side.room(&self.tokenizer);
        let longest = longest_prefix(room);
        let mut len = first_prefix(room);
        loop {
            let prefix = prefix(text, len);
            let prepared = self.prepare(prefix, side);
            let is_whole = prefix.len() == text.len();
            let tokens = if is_whole && !with_offsets {
                self.tokenizer.tokens(&prepared)?
            } else {
                self.tokenizer.tokens_with_offsets(&prepared)?
            };
            if is_whole || len >= longest || self.tokenizer.num_sure(&tokens, &prepared) > room {
                let is_truncated = !is_whole || tokens.len() > room;
                return Ok((self.tokenizer.complete(tokens, room)?, is_truncated));
            }
            len = (2 * len).min(longest);
        }
    }

    /// A row of a text's tokens.
    fn assemble(&self, mut ids: Vec<u32>, is_truncated: bool, kind: TextKind) -> TokenizedText {
        let side = self.side(kind);
        if let Some(marker) = side.marker {
            ids.insert(1.min(ids.len()), marker);
        }
        let mut attended = ids.len();
        if let (Some(fill), TextKind::Query) = (&self.fill, kind) {
            for id in ids.iter_mut().filter(|id| Some(**id) == fill.replaces) {
                *id = fill.id;
            }
            ids.resize(ids.len().max(fill.length), fill.id);
            if fill.attend {
                attended = ids.len();
            }
        }
        let keeps = |id: &u32| !side.skip.contains(id) && (side.keep_only.is_empty() || side.keep_only.contains(id));
        let kept = ids.iter().enumerate().filter(|(_, id)| keeps(id)).map(|(position, _)| position).collect();
        TokenizedText { ids, attended, kept, is_truncated }
    }

    /// The row of a passage that is one token, which alone is kept.
    pub(crate) fn of_token(&self, id: u32) -> TokenizedText {
        let mut ids = self.added.clone();
        let at = 1.min(ids.len());
        ids.insert(at, id);
        let marker = self.passage.marker;
        ids.splice(at..at, marker);
        TokenizedText { attended: ids.len(), ids, kept: vec![at + usize::from(marker.is_some())], is_truncated: false }
    }

    /// The tokens of the text itself, with their positions: without special tokens, marker and expansion tokens.
    pub fn text_tokens<'a>(&'a self, row: &'a TokenizedText) -> impl Iterator<Item = (usize, String)> + 'a {
        let others = [self.query.marker, self.passage.marker, self.fill.as_ref().map(|fill| fill.id)];
        let added = move |id: u32| self.added.contains(&id) || others.contains(&Some(id));
        let tokens = row.ids[..row.attended].iter().enumerate().filter(move |&(_, &id)| !added(id));
        tokens.map(|(position, &id)| (position, self.tokenizer.spelling(id).unwrap_or_default()))
    }

    /// The vocabulary of a WordPiece tokenizer, by id; `None` for any other kind.
    pub fn word_pieces(&self) -> Option<Vec<String>> {
        self.tokenizer.word_pieces()
    }

    fn prepare(&self, text: &str, side: &Resolved) -> String {
        let text = format!("{}{text}", side.prompt);
        let text = if self.strip { strip(&text) } else { &text };
        if self.lowercase { text.to_lowercase() } else { text.to_owned() }
    }

    /// The bytes of a text that the tokens of its prepared form cover.
    fn locate(&self, text: &str, side: &Resolved, tokens: &Encoding) -> Vec<Range<usize>> {
        let whole = format!("{}{text}", side.prompt);
        let stripped = if self.strip { whole.len() - strip_start(&whole).len() } else { 0 };
        let lowered = self.lowercase.then(|| Lowered::new(&whole[stripped..]));
        let span = |&(start, end): &(usize, usize)| {
            let (start, end) = lowered.as_ref().map_or((start, end), |lowered| lowered.origin(start, end));
            let in_text = |at: usize| (stripped + at).saturating_sub(side.prompt.len());
            let start = text.floor_char_boundary(in_text(start));
            start..text.ceil_char_boundary(in_text(end)).max(start)
        };
        let is_special = tokens.get_special_tokens_mask();
        let spans = tokens.get_offsets().iter().zip(is_special);
        spans.map(|(offsets, &is_special)| if is_special == 1 { 0..0 } else { span(offsets) }).collect()
    }
}

/// Where the characters of a lowercased text come from: some have other lengths in bytes than before.
struct Lowered(Vec<(usize, usize)>);

impl Lowered {
    fn new(text: &str) -> Self {
        let mut lowered = 0;
        let mut starts = Vec::with_capacity(text.len() + 1);
        for (at, c) in text.char_indices() {
            starts.push((lowered, at));
            // (The two forms of a lowercase sigma have one length.)
            lowered += c.to_lowercase().map(char::len_utf8).sum::<usize>();
        }
        starts.push((lowered, text.len()));
        Self(starts)
    }

    /// The bytes of the characters that bytes of the lowercased text come from.
    fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.0.partition_point(|&(lowered, _)| lowered <= start).saturating_sub(1);
        let last = self.0.partition_point(|&(lowered, _)| lowered < end).min(self.0.len() - 1);
        (self.0[first].1, self.0[last].1)
    }
}

impl Resolved {
    fn num_markers(&self) -> usize {
        usize::from(self.marker.is_some())
    }

    /// Tokens of a text that fit beside the marker and the tokenizer's special tokens.
    fn room(&self, tokenizer: &TextTokenizer) -> usize {
        self.max_len - self.num_markers() - tokenizer.num_added
    }
}

fn resolve(model: &str, side: &TextConfig, tokenizer: &TextTokenizer, most: usize) -> Result<Resolved> {
    let marker = side.marker.as_ref().map(|marker| marker_id(model, marker, tokenizer)).transpose()?;
    let least = tokenizer.num_added + usize::from(marker.is_some()) + 1;
    if !(least..=most).contains(&side.max_len) {
        return Err(Error::MaxLength { model: model.to_owned(), requested: side.max_len, least, most });
    }
    Ok(Resolved {
        max_len: side.max_len,
        marker,
        prompt: side.prompt.clone(),
        skip: skiplist::resolve(side.skiplist_rule, &side.skiplist, tokenizer)?,
        keep_only: side.keep_only.iter().copied().collect(),
    })
}

fn marker_id(model: &str, marker: &PrefixToken, tokenizer: &TextTokenizer) -> Result<u32> {
    let fallback = tokenizer.special.unknown.filter(|_| marker.or_unknown);
    tokenizer.id(&marker.token).or(fallback).ok_or_else(|| Error::UnknownToken {
        model: model.to_owned(),
        token: marker.token.clone(),
        role: "the marker of queries or passages",
    })
}

/// Python's `str.strip()`: Unicode whitespace, and the four ASCII separators that Rust does not count.
fn strip(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// [`strip`] at the beginning alone.
fn strip_start(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// What [`strip`] takes away.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests;
