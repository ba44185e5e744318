//! From a text to the token rows that the transformer sees, and which of them are attended and kept.
//!
//! In: a [`Recipe`] resolved against the tokenizer. Out: [`Row`]s, one per text.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::recipe::{Marker, Recipe, Side, TextKind};
use crate::skiplist;
use crate::tokenizer::TextTokenizer;

/// The tokens of one text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    /// Special tokens, marker, text and augmentation.
    pub(crate) ids: Vec<u32>,
    /// Tokens that attention may look at: the first so many. The rest are `[MASK]`s that look but are not seen.
    pub(crate) attended: usize,
    /// Positions whose embeddings are returned, ascending.
    pub(crate) kept: Vec<usize>,
}

/// A recipe with ids in place of words.
pub(crate) struct Rows {
    tokenizer: TextTokenizer,
    strip: bool,
    lowercase: bool,
    query: Resolved,
    passage: Resolved,
    fill: Option<Fill>,
    /// What the tokenizer adds to every text.
    added: Vec<u32>,
}

/// A [`Side`] with ids in place of words.
struct Resolved {
    max_len: usize,
    marker: Option<u32>,
    prompt: String,
    skip: BTreeSet<u32>,
    keep_only: BTreeSet<u32>,
}

/// An expansion with its id.
struct Fill {
    length: usize,
    attend: bool,
    id: u32,
    /// The padding token's id, where it is replaced too.
    replaces: Option<u32>,
}

impl Rows {
    /// Looks every word up; `most` is the longest sequence that the transformer takes.
    pub(crate) fn new(model: &str, recipe: &Recipe, tokenizer: TextTokenizer, most: usize) -> Result<Self> {
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
                Some(Fill { length: expansion.length, attend: expansion.attend, id, replaces })
            }
        };
        let added = tokenizer.encode("", usize::MAX)?;
        Ok(Self { tokenizer, strip: recipe.strip, lowercase: recipe.lowercase, query, passage, fill, added })
    }

    /// Whether a text has nothing to encode: such texts get no rows, where the references would return their markers.
    pub(crate) fn is_empty(text: &str) -> bool {
        strip(text).is_empty()
    }

    /// Rows of texts; those of empty ones have no token.
    pub(crate) fn of_texts(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Vec<Row>> {
        let row = |text: &str| if Self::is_empty(text) { Ok(Row::default()) } else { self.row(text, kind) };
        texts.par_iter().map(|text| row(text.as_ref())).collect()
    }

    /// The row of one text.
    pub(crate) fn row(&self, text: &str, kind: TextKind) -> Result<Row> {
        let side = match kind {
            TextKind::Query => &self.query,
            TextKind::Passage => &self.passage,
        };
        let mut ids = self.tokenizer.encode(&self.prepare(text, side), side.max_len - side.num_markers())?;
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
        Ok(Row { ids, attended, kept })
    }

    /// The row of a passage that is one token, which alone is kept.
    pub(crate) fn of_token(&self, id: u32) -> Row {
        let mut ids = self.added.clone();
        let at = 1.min(ids.len());
        ids.insert(at, id);
        let marker = self.passage.marker;
        ids.splice(at..at, marker);
        Row { attended: ids.len(), ids, kept: vec![at + usize::from(marker.is_some())] }
    }

    /// The tokens of the text itself, with their positions: neither special tokens nor the marker, nor what augments.
    pub(crate) fn of_text<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (usize, String)> + 'a {
        let others = [self.query.marker, self.passage.marker, self.fill.as_ref().map(|fill| fill.id)];
        let added = move |id: u32| self.added.contains(&id) || others.contains(&Some(id));
        let tokens = row.ids[..row.attended].iter().enumerate().filter(move |&(_, &id)| !added(id));
        tokens.map(|(position, &id)| (position, self.tokenizer.spelling(id).unwrap_or_default()))
    }

    /// The tokenizer that makes them.
    pub(crate) fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    fn prepare(&self, text: &str, side: &Resolved) -> String {
        let text = format!("{}{text}", side.prompt);
        let text = if self.strip { strip(&text) } else { &text };
        if self.lowercase { text.to_lowercase() } else { text.to_owned() }
    }
}

impl Resolved {
    fn num_markers(&self) -> usize {
        usize::from(self.marker.is_some())
    }
}

fn resolve(model: &str, side: &Side, tokenizer: &TextTokenizer, most: usize) -> Result<Resolved> {
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

fn marker_id(model: &str, marker: &Marker, tokenizer: &TextTokenizer) -> Result<u32> {
    let fallback = tokenizer.special.unknown.filter(|_| marker.or_unknown);
    tokenizer.id(&marker.token).or(fallback).ok_or_else(|| Error::UnknownToken {
        model: model.to_owned(),
        token: marker.token.clone(),
        role: "the marker of queries or passages",
    })
}

/// Python's `str.strip()`: Unicode whitespace, and the four ASCII separators that Rust does not count.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip_follows_python() {
        assert_eq!(strip("\u{1c} a b\u{2003}\n"), "a b");
        assert!(Rows::is_empty(" \t\u{1f}\u{a0}"));
        assert!(!Rows::is_empty("."));
    }
}
