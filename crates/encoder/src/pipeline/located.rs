//! Places of tokens in their text.

use super::{ResolvedConfig, TextPipeline, strip_start};
use crate::error::Result;
use crate::text_rules::TextKind;
use std::ops::Range;
use tokenizers::Encoding;

/// Origin of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A part of the text.
    Text,
    /// A part of the prompt before the text.
    Prompt,
    /// The prefix token that marks a text as a query or a passage, such as `[Q]`.
    Marker,
    /// A special token of the tokenizer, such as `[CLS]`.
    Special,
    /// A token that lengthens a query, such as `[MASK]`.
    Expansion,
}

/// Token that has an embedding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedToken {
    /// Origin of the token.
    pub kind: TokenKind,
    /// Spelling in the vocabulary.
    pub spelling: String,
    /// Byte range in the text; empty unless it is a part of the text.
    pub span: Range<usize>,
}

impl TextPipeline {
    /// Returns the tokens of a text that have embeddings, in the order of these.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) if the tokenizer fails on the text.
    pub(crate) fn embedded_tokens(&self, text: &str, kind: TextKind) -> Result<Vec<EmbeddedToken>> {
        if Self::is_blank(text) {
            return Ok(Vec::new());
        }
        let config = self.config(kind);
        let (tokens, is_truncated) = self.tokens(text, config, true)?;
        let is_special = tokens.get_special_tokens_mask();
        let located = self.locate(text, config, &tokens).into_iter().zip(is_special);
        let mut places: Vec<(TokenKind, Range<usize>)> =
            located.map(|(span, &is_special)| (kind_of(&span, is_special == 1, config), span)).collect();
        if config.prefix_token.is_some() {
            places.insert(1.min(places.len()), (TokenKind::Marker, 0..0));
        }
        let tokenized = self.assemble(tokens.get_ids().to_vec(), is_truncated, kind);
        let token = |&at: &usize| {
            let (kind, span) = places.get(at).cloned().unwrap_or((TokenKind::Expansion, 0..0));
            EmbeddedToken { kind, spelling: self.tokenizer.spelling(tokenized.ids[at]).unwrap_or_default(), span }
        };
        Ok(tokenized.kept.iter().map(token).collect())
    }

    /// Maps the tokens of a prepared text to byte ranges of the text itself.
    pub(super) fn locate(&self, text: &str, config: &ResolvedConfig, tokens: &Encoding) -> Vec<Range<usize>> {
        let whole = format!("{}{text}", config.prompt);
        let stripped = if self.strip { whole.len() - strip_start(&whole).len() } else { 0 };
        let lowered = self.lowercase.then(|| Lowered::new(&whole[stripped..]));
        let span = |&(start, end): &(usize, usize)| {
            let (start, end) = lowered.as_ref().map_or((start, end), |lowered| lowered.origin(start, end));
            let in_text = |at: usize| (stripped + at).saturating_sub(config.prompt.len());
            let start = text.floor_char_boundary(in_text(start));
            start..text.ceil_char_boundary(in_text(end)).max(start)
        };
        let is_special = tokens.get_special_tokens_mask();
        let spans = tokens.get_offsets().iter().zip(is_special);
        spans.map(|(offsets, &is_special)| if is_special == 1 { 0..0 } else { span(offsets) }).collect()
    }
}

/// Start of each character in the lowercased text and in the text itself, in bytes, and the end of both. Lowercasing
/// changes the length of some characters.
struct Lowered(Vec<(usize, usize)>);

impl Lowered {
    fn new(text: &str) -> Self {
        let mut lowered = 0;
        let mut starts = Vec::with_capacity(text.len() + 1);
        for (at, c) in text.char_indices() {
            starts.push((lowered, at));
            // The two forms of a lowercase sigma have the same length.
            lowered += c.to_lowercase().map(char::len_utf8).sum::<usize>();
        }
        starts.push((lowered, text.len()));
        Self(starts)
    }

    /// Maps a byte range of the lowercased text to the characters that it came from.
    fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.0.partition_point(|&(lowered, _)| lowered <= start).saturating_sub(1);
        let last = self.0.partition_point(|&(lowered, _)| lowered < end).min(self.0.len() - 1);
        (self.0[first].1, self.0[last].1)
    }
}

/// Origin of a token that the tokenizer returned.
fn kind_of(span: &Range<usize>, is_special: bool, config: &ResolvedConfig) -> TokenKind {
    match (is_special, span.is_empty() && !config.prompt.is_empty()) {
        (true, _) => TokenKind::Special,
        (false, true) => TokenKind::Prompt,
        (false, false) => TokenKind::Text,
    }
}
