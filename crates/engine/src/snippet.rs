//! Snippets: the part of a passage that a query matched.
//!
//! **In:** a passage's text, the byte span of each of its tokens, and the similarities of query tokens with passage
//! tokens. **Out:** a window of the text. Each query token adds weight to the passage token of its largest similarity,
//! by how far that similarity exceeds the mean:
//!
//! ```text
//! weight(t) = sum over i with argmax_t' sim(i, t') = t of  sim(i, t) - mean over t' of sim(i, t')
//! ```
//!
//! In a search for words alone, a word of the query weighs 1 where it is first, and little where it occurs again.
//!
//! The window has the largest sum of weights; of several, it is the first one. Query tokens that are about as similar
//! to every passage token, such as separators and masks, add next to nothing.

use std::collections::HashSet;
use std::ops::Range;

/// Divisor of a window's length that gives the length of the text before the first matched token.
const LEAD: usize = 8;

/// Part of a passage's text that a query matched best.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Snippet {
    /// The part, unchanged, with ends at white space where possible.
    pub text: String,
    /// Byte offset of the part in the text of the passage.
    pub start: usize,
    /// Whether the passage goes on after the part.
    pub is_cut: bool,
}

/// Similarities of query tokens with passage tokens, `(Q, L) f32`.
pub(crate) struct Similarities {
    len: usize,
    data: Vec<f32>,
}

impl Similarities {
    /// Computes the inner products of `query (Q, D)` and `rows (L, D)`.
    pub(crate) fn new(dim: usize, query: &[f32], rows: &[f32]) -> Self {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let of_query = |q| rows.chunks_exact(dim).map(move |row| dot(q, row));
        Self { len: rows.len() / dim, data: query.chunks_exact(dim).flat_map(of_query).collect() }
    }

    /// Returns the weight of each passage token.
    fn weights(&self) -> Vec<f32> {
        let mut weights = vec![0.0; self.len];
        for row in self.data.chunks_exact(self.len.max(1)) {
            let mean = row.iter().sum::<f32>() / row.len() as f32;
            let best = (0..row.len()).reduce(|a, b| if row[b] > row[a] { b } else { a });
            if let Some(best) = best {
                weights[best] += row[best] - mean;
            }
        }
        weights
    }
}

impl Snippet {
    /// Returns the first `chars` characters.
    pub(crate) fn beginning(text: &str, chars: usize) -> Self {
        Self::window(text, text.len() - text.trim_start().len(), chars)
    }

    /// Returns the window of `chars` characters with the best matches; `spans` are the byte spans of the passage
    /// tokens.
    pub(crate) fn of_match(text: &str, chars: usize, spans: &[Range<usize>], similarities: &Similarities) -> Self {
        if spans.len() != similarities.len {
            return Self::beginning(text, chars);
        }
        let weighted = spans.iter().zip(similarities.weights());
        Self::of_weights(text, chars, weighted.filter(|(span, weight)| !span.is_empty() && *weight > 0.0).collect())
    }

    /// Returns the window of `chars` characters with the most words of a query, which are at `spans`. A word that
    /// occurs again adds little.
    pub(crate) fn of_words(text: &str, chars: usize, spans: &[Range<usize>]) -> Self {
        let mut seen = HashSet::new();
        let mut weight = |span: &Range<usize>| if seen.insert(text[span.clone()].to_lowercase()) { 1.0 } else { 0.1 };
        let weighted = spans.iter().map(|span| (span, weight(span))).collect();
        Self::of_weights(text, chars, weighted)
    }

    fn of_weights(text: &str, chars: usize, matched: Vec<(&Range<usize>, f32)>) -> Self {
        let value = |start: usize, end: usize| -> f32 {
            matched.iter().filter(|(span, _)| span.start >= start && span.end <= end).map(|(_, weight)| weight).sum()
        };
        let mut best = (0.0, Self::beginning(text, chars));
        for (span, _) in &matched {
            let candidate = Self::around(text, span.start, chars);
            let found = value(candidate.start, candidate.start + candidate.text.len());
            if found > best.0 {
                best = (found, candidate);
            }
        }
        // Of windows with equal sums of weights, the beginning is the easiest to read.
        let first = Self::beginning(text, chars);
        let at_first = value(first.start, first.start + first.text.len());
        if at_first >= best.0 { first } else { best.1 }
    }

    /// Returns a window that begins with a word a little before byte `at`.
    fn around(text: &str, at: usize, chars: usize) -> Self {
        let lead = text[..at].char_indices().rev().nth(chars / LEAD).map_or(0, |(start, _)| start);
        let word = text[lead..at].char_indices().find(|(_, c)| c.is_whitespace()).map(|(start, _)| lead + start);
        let start = if lead == 0 { 0 } else { word.unwrap_or(at) };
        let blank = text[start..].len() - text[start..].trim_start().len();
        Self::window(text, start + blank, chars)
    }

    /// Returns at most `chars` characters from byte `start` on, up to the end of a word if that is in the second half.
    fn window(text: &str, start: usize, chars: usize) -> Self {
        let rest = text[start..].trim_end();
        let Some((limit, _)) = rest.char_indices().nth(chars) else {
            return Self { text: rest.to_owned(), start, is_cut: false };
        };
        let end = match rest[..limit].rfind(char::is_whitespace) {
            Some(blank) if !rest[limit..].starts_with(char::is_whitespace) && 2 * blank > limit => blank,
            _ => limit,
        };
        Self { text: rest[..end].trim_end().to_owned(), start, is_cut: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes one span per word; each query token is most similar to the word of its name.
    fn snippet_of(text: &str, chars: usize, queries: &[&str]) -> Snippet {
        let mut spans = vec![0..0];
        let mut at = 0;
        for word in text.split(' ') {
            spans.push(at..at + word.len());
            at += word.len() + 1;
        }
        let similarity = |query: &&str, span: &Range<usize>| if text[span.clone()] == **query { 0.9 } else { 0.2 };
        let data = queries.iter().flat_map(|q| spans.iter().map(move |s| similarity(q, s))).collect();
        Snippet::of_match(text, chars, &spans, &Similarities { len: spans.len(), data })
    }

    #[test]
    fn the_window_holds_the_words_that_matched() {
        let text = format!("{}the selvedge keeps a cloth from fraying {}", "word ".repeat(200), "word ".repeat(200));
        let found = snippet_of(text.trim_end(), 60, &["selvedge", "fraying"]);
        assert!(found.text.contains("selvedge keeps a cloth from fraying"), "{found:?}");
        assert!(found.start > 0 && found.is_cut && found.text.chars().count() <= 60, "{found:?}");
        assert_eq!(&text[found.start..][..found.text.len()], found.text);
    }

    #[test]
    fn the_window_holds_the_words_of_a_query() {
        let text = format!("{}max_waiting is 512 by default {}", "word ".repeat(200), "default ".repeat(200));
        let spans = selvedge_lexical::matches(selvedge_lexical::Language::English, "default of max_waiting", &text);
        assert!(Snippet::of_words(&text, 60, &spans).text.contains("max_waiting is 512 by default"));
        assert_eq!(Snippet::of_words("no match", 60, &[]).text, "no match");
    }

    #[test]
    fn the_beginning_is_shown_where_it_has_as_much() {
        let found = snippet_of("a woven edge of a cloth", 12, &["woven"]);
        assert_eq!(found, Snippet { text: "a woven edge".into(), start: 0, is_cut: true });
        let found = snippet_of("a woven edge", 100, &["nowhere"]);
        assert_eq!(found, Snippet { text: "a woven edge".into(), start: 0, is_cut: false });
    }

    #[test]
    fn spans_of_another_text_and_odd_texts_are_no_failure() {
        let similarities = Similarities::new(2, &[1.0, 0.0], &[]);
        assert_eq!(Snippet::of_match("  short", 80, &[0..2], &similarities).text, "short");
        assert_eq!(Snippet::of_match("", 80, &[], &similarities).text, "");
        let wide = "été".repeat(100);
        for chars in [0, 1, 7] {
            assert_eq!(Snippet::beginning(&wide, chars).text.chars().count(), chars);
            let spans = [300..303];
            let data = Similarities { len: 1, data: vec![0.5] };
            assert!(Snippet::of_match(&wide, chars, &spans, &data).text.chars().count() <= chars);
        }
    }
}
