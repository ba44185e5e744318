//! Parts of a document that a query matched.
//!
//! A token of the document is matched if it is the most similar one to a token of the query's text (not to a marker or
//! an expansion). Matched tokens are widened to their words, and neighbouring words are joined to a span.
//!
//! ```text
//! score of a span = largest similarity of its matched tokens, from 0 to 1
//! ```

use selvedge::TokenKind;
use serde::Serialize;
use std::ops::Range;

/// A part of a document, in characters (Unicode code points).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(super) struct RelevantSpan {
    /// First character.
    pub(super) start: usize,
    /// End of the characters.
    pub(super) end: usize,
    /// Largest similarity of a token of the query with a token of the span, from 0 to 1.
    pub(super) score: f32,
}

/// A token that has an embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Origin of the token.
    pub(super) kind: TokenKind,
    /// Bytes in the text; empty unless it is a part of the text.
    pub(super) span: Range<usize>,
}

/// A text with its embeddings `(T, D) f32` and its tokens; no tokens if they cannot be paired with the embeddings.
pub(super) struct Embedded<'a> {
    pub(super) text: &'a str,
    pub(super) rows: &'a [f32],
    pub(super) tokens: &'a [Token],
}

/// Spans of a document that a query matched, best first.
pub(super) fn relevant(dim: usize, query: &Embedded<'_>, document: &Embedded<'_>) -> Vec<RelevantSpan> {
    let matched = matched(dim, query, document);
    let mut spans: Vec<(Range<usize>, f32)> = Vec::new();
    let mut last_word = None;
    for (at, tokens) in words(document).into_iter().enumerate() {
        let Some(score) = matched[tokens.clone()].iter().flatten().copied().reduce(f32::max) else { continue };
        let bytes = trimmed(document.text, &document.tokens[tokens.start].span, &document.tokens[tokens.end - 1].span);
        match spans.last_mut() {
            Some((span, best)) if last_word.is_some_and(|last| last + 1 == at) => {
                (span.end, *best) = (bytes.end, best.max(score));
            }
            _ => spans.push((bytes, score)),
        }
        last_word = Some(at);
    }
    let chars = |byte: usize| document.text[..byte].chars().count();
    let span = |(bytes, score): (Range<usize>, f32)| RelevantSpan {
        start: chars(bytes.start),
        end: chars(bytes.end),
        score: score.clamp(0.0, 1.0),
    };
    let mut spans: Vec<RelevantSpan> = spans.into_iter().map(span).collect();
    spans.sort_by(|a, b| b.score.total_cmp(&a.score));
    spans
}

/// The largest similarity of each token of the document with those tokens of the query that it is the best match of.
fn matched(dim: usize, query: &Embedded<'_>, document: &Embedded<'_>) -> Vec<Option<f32>> {
    let mut matched: Vec<Option<f32>> = vec![None; document.tokens.len()];
    for (i, row) in query.rows.chunks_exact(dim).enumerate() {
        if query.tokens.get(i).is_some_and(|token| token.kind != TokenKind::Text) {
            continue;
        }
        let similarity = |other: &[f32]| row.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        let all = document.rows.chunks_exact(dim).map(similarity).enumerate();
        let Some((best, similarity)) = all.reduce(|best, next| if next.1 > best.1 { next } else { best }) else {
            continue;
        };
        if let Some(known) = matched.get_mut(best) {
            *known = Some(known.map_or(similarity, |known| known.max(similarity)));
        }
    }
    matched
}

/// Groups the tokens of a text to words: ranges of tokens. Tokens are of one word if nothing is between them, and
/// letters or digits are on both sides. A token without letters and digits is of no word.
fn words(document: &Embedded<'_>) -> Vec<Range<usize>> {
    let text = document.text;
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, token) in document.tokens.iter().enumerate() {
        if token.kind != TokenKind::Text || !text[token.span.clone()].contains(char::is_alphanumeric) {
            continue;
        }
        let start = token.span.start;
        let goes_on = |end: usize| {
            let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            end <= start && is_letter(text[..end].chars().next_back()) && is_letter(text[end..].chars().next())
        };
        match words.last_mut() {
            Some(word) if word.end == at && goes_on(document.tokens[at - 1].span.end) => word.end = at + 1,
            _ => words.push(at..at + 1),
        }
    }
    words
}

/// The range from one token to another without white space at its ends, which some tokenizers count to a token.
fn trimmed(text: &str, first: &Range<usize>, last: &Range<usize>) -> Range<usize> {
    let part = &text[first.start..last.end.max(first.start)];
    let start = first.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str, parts: &[&str]) -> Vec<Token> {
        let mut end = 0;
        let of_part = |part: &&str| {
            let start = end + text[end..].find(part).unwrap();
            end = start + part.len();
            Token { kind: TokenKind::Text, span: start..end }
        };
        parts.iter().map(of_part).collect()
    }

    /// Unit vector of an axis, of some length.
    fn axis(axis: usize, len: f32) -> [f32; 8] {
        std::array::from_fn(|d| if d == axis { len } else { 0.0 })
    }

    #[test]
    fn matched_words_are_spans_of_characters() {
        let text = "Ün selvedge keeps, cloth fraying";
        let mut of_text = tokens(text, &["Ün", " sel", "vedge", " keeps", ",", " cloth", " fraying"]);
        of_text.insert(0, Token { kind: TokenKind::Special, span: 0..0 });
        let rows = [
            axis(7, 1.0), // [CLS]
            axis(0, 0.0),
            axis(1, 0.2),
            axis(0, 0.9), // vedge
            axis(1, 0.5), // keeps
            axis(2, 1.0), // ,
            axis(6, 0.3),
            axis(3, 0.7), // fraying
        ];
        let document = Embedded { text, rows: &rows.concat(), tokens: &of_text };
        let query_rows = [axis(0, 1.0), axis(1, 1.0), axis(2, 1.0), axis(3, 1.0), axis(7, 1.0), axis(6, 1.0)].concat();
        let mut query_tokens = vec![Token { kind: TokenKind::Text, span: 0..1 }; 5];
        query_tokens.push(Token { kind: TokenKind::Expansion, span: 0..0 });
        let query = Embedded { text: "q", rows: &query_rows, tokens: &query_tokens };
        // selvedge and keeps are neighbours; the comma is no word, [CLS] no text; the expansion does not match cloth.
        let expected =
            [RelevantSpan { start: 3, end: 17, score: 0.9 }, RelevantSpan { start: 25, end: 32, score: 0.7 }];
        assert_eq!(relevant(8, &query, &document), expected);
        let unknown = Embedded { tokens: &[], ..query };
        let found = relevant(8, &unknown, &document);
        let whole = RelevantSpan { start: 3, end: 32, score: 0.9 };
        assert_eq!(found, [whole], "all tokens of the query count, and cloth joins its neighbours");
        assert!(relevant(8, &unknown, &Embedded { tokens: &[], ..document }).is_empty());
    }

    #[test]
    fn a_text_without_tokens_has_no_spans() {
        let nothing = || Embedded { text: "", rows: &[], tokens: &[] };
        assert!(relevant(8, &nothing(), &nothing()).is_empty());
    }
}
