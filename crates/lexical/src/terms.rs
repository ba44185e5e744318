//! Terms of a text, the same for passages and queries.
//!
//! A text in, its terms out, each as often as it occurs:
//!
//! ```text
//! text                      terms (English)
//! The Searchers             the, searcher
//! std.collections.HashMap   std, collect, hash, map, hashmap, std.collections.hashmap
//! HTTPServer2               http, server, 2, httpserver2
//! snake_case, AB-1234/X     snake, case, snake_case, ab, 1234, x, ab-1234/x
//! C++, C#, 1.2.3            c, c++, c, c#, 1, 2, 3, 1.2.3
//! 東京都                     東, 京, 東京, 都, 京都
//! ```
//!
//! 1. A *compound* is a run of word characters and [`JOINERS`], from the first word character to the last, with the `+`
//!    and `#` that follow it. Its *words* are the runs of word characters in it, its *parts* the pieces of
//!    `camelCase` and of `mp3`.
//! 2. Parts and words are lower-cased and stemmed. A word of one part is one term, not two.
//! 3. A compound of more than one word is a term too, lower-cased and not stemmed, so that a name is found whole.
//! 4. Chinese, Japanese and Korean have no (or few) spaces: each character and each pair of neighbours is a term, so
//!    that every word within a text is found.
//! 5. Terms of more than [`MAX_TERM_BYTES`] are left out: encoded data, not words.
//!
//! Accents stay: stemmers need them, and many languages tell words apart by them. Unicode normalization is up to the
//! caller.

use crate::Language;
use frostem::Stemmer;
use std::collections::HashMap;

/// Longest term, in bytes.
pub(crate) const MAX_TERM_BYTES: usize = 255;

/// Most words whose stems are remembered; some 4 MB.
const MAX_STEMS: usize = 1 << 15;

/// Characters that join words to a compound.
const JOINERS: &[char] = &['_', '-', '.', ':', '/', '\\', '@', '+', '#', '&'];

/// Terms of one text, in one buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Terms one after the other.
    text: String,
    /// End of each term in `text`.
    ends: Vec<usize>,
}

impl Terms {
    /// Number of terms.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Term number `i`.
    pub(crate) fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    /// Terms in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i))
    }

    fn push(&mut self, term: &str) {
        if term.len() <= MAX_TERM_BYTES {
            self.text.push_str(term);
            self.ends.push(self.text.len());
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

/// Splits texts into terms.
#[derive(Clone)]
pub(crate) struct Analyzer {
    stemmer: Option<Stemmer>,
    /// Stems of recent words: a stemmer takes some 300 ns per word, a look-up 40.
    stems: HashMap<String, String>,
    terms: Terms,
    /// Lower-case form of one word.
    lower: String,
}

impl Analyzer {
    /// Makes an analyzer of texts in `language`.
    pub(crate) fn new(language: Language) -> Self {
        Self { stemmer: language.stemmer(), stems: HashMap::new(), terms: Terms::default(), lower: String::new() }
    }

    /// Returns the terms of `text`.
    pub(crate) fn analyze(&mut self, text: &str) -> &Terms {
        self.terms.clear();
        for run in text.split(|c| !is_word(c) && !JOINERS.contains(&c)) {
            if let Some(start) = run.find(is_word) {
                self.compound(&run[start..]);
            }
        }
        &self.terms
    }

    /// Adds the terms of `run`, which begins with a word character.
    fn compound(&mut self, run: &str) {
        if run.bytes().all(|b| b.is_ascii_lowercase()) {
            return self.stem(run); // Most words; the rest of the function would do no other.
        }
        let end = run.trim_end_matches(|c| !is_word(c)).len();
        let suffix = run[end..].find(|c| c != '+' && c != '#').unwrap_or(run.len() - end);
        let compound = &run[..end + suffix];
        let mut spaced = true;
        for word in compound.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            spaced &= self.word(word);
        }
        let is_one_word = !compound.contains(|c| !is_word(c));
        if spaced && !is_one_word {
            self.lower(compound);
            self.terms.push(&self.lower);
        }
    }

    /// Adds the terms of a run of word characters. Returns whether its language puts spaces between words.
    fn word(&mut self, word: &str) -> bool {
        if word.is_ascii() || !word.contains(is_unspaced) {
            self.parts(word);
            return true;
        }
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let unspaced = is_unspaced(first);
            let end = rest.find(|c| is_unspaced(c) != unspaced).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(end);
            match unspaced {
                true => self.pairs(run),
                false => self.parts(run),
            }
            rest = tail;
        }
        false
    }

    /// Adds the characters of a run without spaces, and the pairs of neighbours.
    fn pairs(&mut self, run: &str) {
        let mut starts = run.char_indices().map(|(i, _)| i).chain([run.len()]).peekable();
        let mut before = None;
        while let Some(start) = starts.next() {
            let Some(&end) = starts.peek() else { break };
            self.terms.push(&run[start..end]);
            if let Some(before) = before {
                self.terms.push(&run[before..end]);
            }
            before = Some(start);
        }
    }

    /// Adds the parts of a word, and the word.
    fn parts(&mut self, word: &str) {
        let mut start = 0;
        for end in part_ends(word) {
            self.stem(&word[start..end]);
            start = end;
        }
        if start > 0 {
            self.stem(&word[start..]);
        }
        self.stem(word);
    }

    /// Adds one word as a term.
    fn stem(&mut self, word: &str) {
        self.lower(word);
        let Some(stemmer) = self.stemmer.filter(|_| self.lower.len() <= MAX_TERM_BYTES) else {
            return self.terms.push(&self.lower);
        };
        if let Some(stem) = self.stems.get(&self.lower) {
            return self.terms.push(stem);
        }
        let stem = stemmer.stem(&self.lower).into_owned();
        self.terms.push(&stem);
        if self.stems.len() == MAX_STEMS {
            self.stems.clear();
        }
        self.stems.insert(self.lower.clone(), stem);
    }

    /// Sets `self.lower` to the lower-case form of `text`.
    fn lower(&mut self, text: &str) {
        self.lower.clear();
        if text.is_ascii() {
            self.lower.push_str(text);
            self.lower.make_ascii_lowercase();
        } else {
            // Of a whole word: the Greek sigma has another form at its end.
            self.lower.push_str(&text.to_lowercase());
        }
    }
}

/// Ends of the parts of a word like `camelCase2`, but for the last part.
fn part_ends(word: &str) -> impl Iterator<Item = usize> {
    word.char_indices().skip(1).filter_map(move |(i, c)| {
        let before = word[..i].chars().next_back()?;
        let rest = &word[i + c.len_utf8()..];
        // `HTTPServer` is HTTP and Server, but `URLs` one word.
        let begins_word = rest != "s" && rest.starts_with(char::is_lowercase);
        let is_digits_edge = before.is_numeric() != c.is_numeric();
        (is_digits_edge || c.is_uppercase() && (before.is_lowercase() || begins_word)).then_some(i)
    })
}

/// Whether words consist of `c`: letters, digits, and marks that belong to a letter.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

/// Whether `c` is a mark that Unicode does not count among letters although it is in the middle of words: combining
/// accents, the viramas of India's scripts, and tone marks of Thai and Lao.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{963}' | '\u{966}'..='\u{df3}' | '\u{e47}'..='\u{e4e}' |
        '\u{ec8}'..='\u{ece}')
}

/// Whether `c` belongs to a script without spaces between words (or, in Korean, with spaces between groups of them).
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e01}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1100}'..='\u{11ff}' |
        '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3130}'..='\u{318f}' | '\u{31f0}'..='\u{31ff}' |
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' |
        '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_terms(text: &str, expected: &str) {
        let mut analyzer = Analyzer::new(Language::English);
        assert_eq!(analyzer.analyze(text).iter().collect::<Vec<_>>().join(" "), expected, "{text}");
        // From the stems that are remembered.
        assert_eq!(analyzer.analyze(text).iter().collect::<Vec<_>>().join(" "), expected, "{text}");
    }

    #[test]
    fn words_are_lower_cased_and_stemmed() {
        assert_terms("The Searchers, searching!", "the searcher search");
        assert_terms("don't  \n(stop)", "don t stop");
        assert_terms("Éclairs ÉCLAIRS", "éclair éclair");
        assert_terms("e\u{301}t", "e\u{301}t");
        assert_terms("", "");
        assert_terms("-- ... + # @", "");
    }

    #[test]
    fn compounds_are_terms_too() {
        assert_terms("std.collections.HashMap", "std collect hash map hashmap std.collections.hashmap");
        assert_terms("snake_case.", "snake case snake_case");
        assert_terms("AB-1234/X", "ab 1234 x ab-1234/x");
        assert_terms("C++, C# (1.2.3)", "c c++ c c# 1 2 3 1.2.3");
        assert_terms("foo::bar->baz", "foo bar foo::bar baz");
        assert_terms("a@b.org: x", "a b org a@b.org x");
        assert_terms("/usr/bin/", "usr bin usr/bin");
        assert_terms("AT&T", "at t at&t");
    }

    #[test]
    fn words_have_parts() {
        assert_terms("HTTPServer2", "http server 2 httpserver2");
        assert_terms("camelCases iPhone", "camel case camelcas i phone iphon");
        assert_terms("URLs PDFs README", "url pdfs readm");
        assert_terms("mp3 x86_64", "mp 3 mp3 x 86 x86 64 x86_64");
    }

    #[test]
    fn text_without_spaces_gives_pairs() {
        assert_terms("東京都", "東 京 東京 都 京都");
        assert_terms("東京/大阪", "東 京 東京 大 阪 大阪");
        assert_terms("iPhone手机x", "i phone iphon 手 机 手机 x");
    }

    #[test]
    fn long_terms_are_left_out() {
        let word = "b".repeat(MAX_TERM_BYTES);
        assert_terms(&word, &word);
        assert_terms(&format!("{word}b"), "");
        assert_terms(&format!("{word}.a"), &format!("{word} a"));
    }
}
