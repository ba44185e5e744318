//! Boundaries between the passages of a long text.

use crate::Result;
use std::ops::Range;

/// Function from a text to its passages: ascending ranges of bytes, which may overlap.
pub(crate) type Splitter<'a> = &'a dyn Fn(&str) -> Result<Vec<Range<usize>>>;

/// Rule that splits a file of a folder into passages.
#[derive(Clone, Copy)]
pub(crate) enum Split<'a> {
    /// One passage per file.
    Never,
    /// Passages of about this many words, cut at a blank line, the end of a sentence or a space.
    Words(usize),
    /// Passages that a function finds, such as passages of a model's maximum length.
    By(Splitter<'a>),
}

impl<'a> Split<'a> {
    /// The rule for these words per passage, or by the length of an encoder without any; see
    /// [`ReadOptions::split_words`](super::ReadOptions::split_words).
    pub(crate) fn new(words: Option<usize>, by_tokens: Option<Splitter<'a>>) -> Self {
        match (words, by_tokens) {
            (Some(0), _) | (None, None) => Self::Never,
            (Some(words), _) => Self::Words(words),
            (None, Some(by_tokens)) => Self::By(by_tokens),
        }
    }

    /// Returns the passages of a text.
    pub(super) fn ranges(self, text: &str) -> Result<Vec<Range<usize>>> {
        match self {
            Self::Never => Ok(vec![0..text.len()]),
            Self::Words(words) => Ok(by_words(text, words)),
            Self::By(splitter) => splitter(text),
        }
    }

    /// Whether every file is one passage.
    pub(super) fn is_never(self) -> bool {
        matches!(self, Self::Never)
    }
}

/// Cuts a text into passages of at most `words` words, at the best boundary in the second half of each. The last
/// passage may have a quarter more.
fn by_words(text: &str, words: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut start) = (Vec::new(), 0);
    let end = text.trim_end().len();
    while text[start..end].split_whitespace().nth(words + words / 4).is_some() {
        let cut = start + cut_before(&text[start..end], words);
        ranges.push(start..cut);
        start = cut;
    }
    ranges.push(start..end);
    ranges
}

/// Returns the byte after the best boundary between word `words / 2` and word `words`: a blank line, else the end of a
/// sentence, else a space; of equal ones the last.
fn cut_before(text: &str, words: usize) -> usize {
    let (mut count, mut best, mut best_rank) = (0, 0, 0);
    let mut in_word = false;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            let rank = match (previous, c) {
                ('\n', '\n') => 3,
                ('.' | '!' | '?' | ':', _) => 2,
                _ => 1,
            };
            if 2 * count >= words && rank >= best_rank {
                (best, best_rank) = (at + c.len_utf8(), rank);
            }
            in_word = false;
        } else if !in_word {
            in_word = true;
            count += 1;
            if count > words && best > 0 {
                return best;
            }
        }
        if c != '\r' {
            previous = c;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_paragraphs_then_sentences_then_spaces() {
        let text = "one two three four.\n\nfive six seven. eight nine ten eleven twelve";
        let parts = |text, words| -> Vec<String> {
            let ranges = Split::Words(words).ranges(text).unwrap();
            ranges.into_iter().map(|range| text[range].trim().to_owned()).collect()
        };
        assert_eq!(parts(text, 6), ["one two three four.", "five six seven.", "eight nine ten eleven twelve"]);
        let long = "word ".repeat(1000);
        let parts: Vec<usize> = parts(&long, 100).iter().map(|part| part.split_whitespace().count()).collect();
        assert_eq!(parts.iter().sum::<usize>(), 1000);
        assert!(parts.iter().all(|&words| words <= 125));
    }
}
