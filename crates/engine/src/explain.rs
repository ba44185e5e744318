//! Explanations: which tokens of a passage a query matched, and what each match adds to the score.
//!
//! **In:** a query and a passage that it found. **Out:** all similarities `(Q, T)`, decoded from the compressed bytes
//! as the search itself decodes them; the best passage token of each query token; and the words of the text with their
//! parts of the score.
//!
//! ```text
//! part(i) = max over t of sim(i, t)        score = sum over i of part(i)
//! part of a word = sum of part(i) over the query tokens i whose best passage token is in the word
//! ```
//!
//! Parts are made of the integers that are ranked, so they sum to the score of the hit but for the rounding of f32.

use crate::{Engine, Result, Snapshot};
use selvedge_backend::Similarities;
use selvedge_encoder::{EmbeddedToken, TextKind, TokenKind};
use selvedge_index::Document;
use std::ops::Range;

/// Reasons for the score of a passage. Offsets count characters (Unicode code points) of the text.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// MaxSim of the query and the passage.
    pub score: f32,
    /// Tokens of the query, one per embedding; empty if the query was given as embeddings.
    pub query: Vec<ExplainedToken>,
    /// Tokens of the passage, one per embedding; empty if embeddings cannot be paired with tokens: in an index of
    /// embeddings, in a pooled index, and before the encoder is loaded.
    pub passage: Vec<ExplainedToken>,
    /// Best match of each query token; empty if the passage has no tokens.
    pub matches: Vec<Match>,
    /// Words of the text that were a best match, in the order of the text.
    pub words: Vec<MatchedWord>,
    /// Similarity of each query token with each passage token: `Q` rows of `T`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub similarities: Vec<Vec<f32>>,
}

/// Token with its place in its text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExplainedToken {
    /// Spelling in the vocabulary of the model.
    pub token: String,
    /// Origin of the token: the text, a marker, or an expansion of the query.
    pub kind: TokenKind,
    /// First character; 0 unless the token is a part of the text.
    pub start: usize,
    /// End of the characters; equal to `start` unless the token is a part of the text.
    pub end: usize,
}

/// The best match of a query token.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Match {
    /// Position of the passage token; the first one of several.
    pub passage_token: usize,
    /// Their similarity.
    pub similarity: f32,
    /// Summand of the score.
    pub part: f32,
    /// Share of the score, `part / score`.
    pub share: f32,
}

/// A word of a passage's text that was a best match.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct MatchedWord {
    /// First character.
    pub start: usize,
    /// End of the characters.
    pub end: usize,
    /// Sum of the parts of the query tokens that matched it best.
    pub part: f32,
    /// Share of the score, `part / score`.
    pub share: f32,
}

impl Engine {
    /// Explains the score of a passage of a generation, for a query `(Q, D) f32` that was encoded from `text`, if it
    /// was.
    ///
    /// # Errors
    /// [`Error::Search`](crate::Error::Search) if the query does not fit the index, or there is no such passage;
    /// [`Error::Index`](crate::Error::Index) if the text cannot be read, [`Error::Encoder`](crate::Error::Encoder) if a
    /// text cannot be tokenized.
    pub fn explain(&self, snapshot: &Snapshot, query: &[f32], text: Option<&str>, pid: u32) -> Result<Explanation> {
        let similarities = snapshot.searcher().similarities(query, pid)?;
        let manifest = snapshot.index().manifest();
        let has_text = manifest.encoder.is_some() && manifest.build.pool.is_none();
        let tokens = |text: &str, kind, len| self.tokens(text, kind, len);
        let of_query = text.map_or(Ok(Vec::new()), |text| tokens(text, TextKind::Query, similarities.query_len))?;
        let query = explained(text.unwrap_or_default(), &of_query);
        if !has_text {
            return Ok(explanation(&similarities, query, "", &[]));
        }
        let Document { text, .. } = snapshot.index().document(pid)?;
        let of_passage = tokens(&text, TextKind::Passage, similarities.passage_len)?;
        Ok(explanation(&similarities, query, &text, &of_passage))
    }

    /// Tokens of a text that has `len` embeddings; none if the encoder is not loaded or makes another number of them.
    fn tokens(&self, text: &str, kind: TextKind, len: usize) -> Result<Vec<EmbeddedToken>> {
        let Some(encoder) = self.loaded_encoder() else { return Ok(Vec::new()) };
        let tokens = encoder.embedded_tokens(text, kind)?;
        Ok(if tokens.len() == len { tokens } else { Vec::new() })
    }
}

fn explanation(
    similarities: &Similarities,
    query: Vec<ExplainedToken>,
    text: &str,
    of_passage: &[EmbeddedToken],
) -> Explanation {
    let best = similarities.best();
    let score = best.iter().map(|best| best.raw_part).sum::<i32>() as f32 * similarities.score_unit;
    let share = |part: f32| if score == 0.0 { 0.0 } else { part / score };
    // The sum of the parts of each passage token, if it is a best match.
    let mut parts: Vec<Option<i64>> = vec![None; of_passage.len()];
    for best in &best {
        if let Some(part) = parts.get_mut(best.passage_token) {
            *part = Some(part.unwrap_or(0) + i64::from(best.raw_part));
        }
    }
    let chars = CharOffsets::new(text);
    let word = |tokens: Range<usize>| {
        let span = trimmed(text, of_passage[tokens.start].span.start..of_passage[tokens.end - 1].span.end);
        let part = parts[tokens].iter().flatten().sum::<i64>() as f32 * similarities.score_unit;
        MatchedWord { start: chars.of(span.start), end: chars.of(span.end), part, share: share(part) }
    };
    let passage = explained(text, of_passage);
    let matches = best.iter().map(|best| {
        let part = best.raw_part as f32 * similarities.score_unit;
        let similarity = best.raw as f32 * similarities.unit;
        Match { passage_token: best.passage_token, similarity, part, share: share(part) }
    });
    let rows = similarities.raw.chunks_exact(similarities.passage_len.max(1));
    Explanation {
        score,
        query,
        passage,
        matches: matches.collect(),
        words: words(text, of_passage)
            .into_iter()
            .filter(|tokens| parts[tokens.clone()].iter().any(Option::is_some))
            .map(word)
            .collect(),
        similarities: rows.map(|row| row.iter().map(|&raw| raw as f32 * similarities.unit).collect()).collect(),
    }
}

/// Tokens of a text with their places in characters.
fn explained(text: &str, tokens: &[EmbeddedToken]) -> Vec<ExplainedToken> {
    let chars = CharOffsets::new(text);
    let explained = |EmbeddedToken { kind, spelling, span }: &EmbeddedToken| ExplainedToken {
        token: spelling.clone(),
        kind: *kind,
        start: chars.of(span.start),
        end: chars.of(span.end),
    };
    tokens.iter().map(explained).collect()
}

/// Groups the tokens of a text to words: ranges of tokens. Tokens are of one word if nothing is between them, and
/// letters or digits are on both sides.
fn words(text: &str, tokens: &[EmbeddedToken]) -> Vec<Range<usize>> {
    let is_in_text = |token: &EmbeddedToken| token.kind == TokenKind::Text && !token.span.is_empty();
    let goes_on = |before: &EmbeddedToken, next: &EmbeddedToken| {
        let (end, start) = (before.span.end, next.span.start);
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        start <= end && is_letter(text[..start].chars().next_back()) && is_letter(text[start..].chars().next())
    };
    let mut words: Vec<Range<usize>> = Vec::new();
    for (t, token) in tokens.iter().enumerate().filter(|(_, token)| is_in_text(token)) {
        match words.last_mut() {
            // A token of which no embedding is kept may be between two others.
            Some(word) if word.end == t && goes_on(&tokens[t - 1], token) => word.end = t + 1,
            _ => words.push(t..t + 1),
        }
    }
    words
}

/// A range without white space at its ends, which some tokenizers count to a token.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let part = &text[span.clone()];
    let start = span.start + (part.len() - part.trim_start().len());
    start..(start + part.trim().len())
}

/// First bytes of the characters of a text.
struct CharOffsets(Vec<usize>);

impl CharOffsets {
    fn new(text: &str) -> Self {
        Self(text.char_indices().map(|(at, _)| at).collect())
    }

    /// Number of the character that begins at a byte.
    fn of(&self, byte: usize) -> usize {
        self.0.partition_point(|&start| start < byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, part: &str, kind: TokenKind) -> EmbeddedToken {
        let start = if kind == TokenKind::Text { text.find(part).unwrap() } else { 0 };
        let end = if kind == TokenKind::Text { start + part.len() } else { 0 };
        EmbeddedToken { kind, spelling: part.trim().to_owned(), span: start..end }
    }

    #[test]
    fn tokens_of_one_word_are_joined_and_their_parts_summed() {
        let text = "Ü selvedge-keeps fraying";
        let in_text = |part| token(text, part, TokenKind::Text);
        let tokens = [
            token(text, "[CLS]", TokenKind::Special),
            in_text("Ü"),
            in_text(" sel"),
            in_text("vedge"),
            in_text("-"),
            in_text("keeps"),
            in_text(" fraying"),
        ];
        assert_eq!(words(text, &tokens), [1..2, 2..4, 4..5, 5..6, 6..7]);
        // Query tokens match sel, vedge, [CLS] and keeps best.
        let mut raw = vec![0; 4 * 7];
        for (i, (t, sim)) in [(2, 80), (3, 40), (0, 40), (5, 40)].into_iter().enumerate() {
            raw[i * 7 + t] = sim;
        }
        let similarities = Similarities { query_len: 4, passage_len: 7, raw, unit: 0.0125, score_unit: 0.05 };
        let found = explanation(&similarities, Vec::new(), text, &tokens);
        assert_eq!(found.score, 50.0 * 0.05);
        let places: Vec<_> = found.words.iter().map(|word| (word.start, word.end, word.share)).collect();
        assert_eq!(places, [(2, 10, 0.6), (11, 16, 0.2)]);
        assert_eq!(found.matches[0].passage_token, 2);
        assert_eq!(found.matches[0].similarity, 1.0);
        assert_eq!((found.passage[1].start, found.passage[1].end), (0, 1), "characters, not bytes");
        assert_eq!(found.similarities[1][3], 0.5);
    }

    #[test]
    fn a_passage_without_tokens_or_places_is_explained_by_numbers() {
        let none = Similarities { query_len: 2, passage_len: 0, raw: vec![], unit: 1.0, score_unit: 2.0 };
        let found = explanation(&none, Vec::new(), "", &[]);
        assert_eq!((found.score, found.matches.len(), found.similarities.len()), (0.0, 0, 0));
        let pooled = Similarities { query_len: 1, passage_len: 2, raw: vec![3, 5], unit: 0.5, score_unit: 0.5 };
        let found = explanation(&pooled, Vec::new(), "two words", &[]);
        assert_eq!((found.score, found.matches[0].passage_token, found.words.len()), (2.5, 1, 0));
    }
}
