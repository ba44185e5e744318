//! Explanations of hits as text: the passage with its matched words tinted, and a table of the matches.

use crate::Result;
use crate::output::{print, printable};
use anstyle::{AnsiColor, Style};
use selvedge::{ExplainedToken, Explanation, Hit, MatchedWord, TokenKind};
use std::io::Write;

/// Number of characters of an explained passage that are printed.
pub(crate) const CHARS: usize = 600;

/// Columns of a line of a passage.
const WIDTH: usize = 80;

/// Indentation of what belongs to a hit.
const INDENT: &str = "               ";

/// Prints the part of a passage's text that matched best, with its words tinted by their share of the score, and the
/// match of each query token. `out` removes colours where they are of no use.
pub(crate) fn explanation(out: &mut impl Write, hit: &Hit, explanation: &Explanation) -> Result<()> {
    tinted(out, hit, &explanation.words)?;
    print(writeln!(out, "\n{INDENT}{:<20} {:<20} {:>10} {:>7}", "query", "passage", "similarity", "share"))?;
    for (i, found) in explanation.matches.iter().enumerate() {
        let (query, kind) = named(explanation.query.get(i), i);
        let (passage, _) = named(explanation.passage.get(found.passage_token), found.passage_token);
        let (similarity, percent) = (found.similarity, 100.0 * found.share);
        print(writeln!(out, "{INDENT}{query:<20} {passage:<20} {similarity:>10.3} {percent:>6.1}%{kind}"))?;
    }
    print(writeln!(out))
}

/// Spelling of a token, or its position if it has none, and what it is if it is no part of a text.
fn named(token: Option<&ExplainedToken>, position: usize) -> (String, &'static str) {
    let Some(token) = token else { return (format!("token {position}"), "") };
    let kind = match token.kind {
        TokenKind::Text => "",
        TokenKind::Prompt => "  prompt",
        TokenKind::Marker => "  marker",
        TokenKind::Special => "  special",
        TokenKind::Expansion => "  expansion",
    };
    (printable(&token.token).into_owned(), kind)
}

/// Prints the snippet of a hit in lines of [`WIDTH`] columns.
fn tinted(out: &mut impl Write, hit: &Hit, words: &[MatchedWord]) -> Result<()> {
    let (Some(text), Some(snippet)) = (&hit.text, &hit.snippet) else { return Ok(()) };
    let largest = words.iter().map(|word| word.share).fold(0.0, f32::max);
    let mut at = text[..snippet.start].chars().count();
    let (mut line, mut columns) = (String::new(), 0);
    let mut lines = Vec::new();
    for piece in snippet.text.split_inclusive(char::is_whitespace) {
        let (word, len) = (piece.trim_end(), piece.chars().count());
        let printed = printable(word).chars().count();
        if columns > 0 && columns + 1 + printed > WIDTH {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        if printed > 0 {
            line.push_str(if columns > 0 { " " } else { "" });
            line.push_str(&styled(word, at, words, largest));
            columns += printed + usize::from(columns > 0);
        }
        at += len;
    }
    lines.push(line);
    lines.iter().try_for_each(|line| print(writeln!(out, "{INDENT}{line}")))
}

/// Tints the parts of `text`, which begins at character `first`, that are matched words.
fn styled(text: &str, first: usize, words: &[MatchedWord], largest: f32) -> String {
    let mut out = String::new();
    let style_at = |at: usize| {
        let word = words.iter().find(|word| word.start <= at && at < word.end);
        word.map_or(Style::new(), |word| style(word.share, largest))
    };
    let chars: Vec<(char, Style)> = text.chars().enumerate().map(|(i, c)| (c, style_at(first + i))).collect();
    for run in chars.chunk_by(|a, b| a.1 == b.1) {
        let (part, style): (String, _) = (run.iter().map(|(c, _)| c).collect(), run[0].1);
        out.push_str(&format!("{style}{}{style:#}", printable(&part)));
    }
    out
}

/// The style of a word, by its share of the score against the largest.
fn style(share: f32, largest: f32) -> Style {
    let black = Style::new().fg_color(Some(AnsiColor::Black.into()));
    match share / largest {
        part if part > 2.0 / 3.0 => black.bold().bg_color(Some(AnsiColor::BrightYellow.into())),
        part if part > 1.0 / 3.0 => black.bg_color(Some(AnsiColor::Yellow.into())),
        _ => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge::Snippet;

    #[test]
    fn words_are_tinted_where_they_stand() {
        let text = "Überall weaves a cloth\u{1b}[2J of wool".to_owned();
        let word = |start, end, share| MatchedWord { start, end, part: share, share };
        let words = [word(8, 14, 0.6), word(17, 22, 0.1)];
        let snippet = Snippet { text: text[9..].to_owned(), start: 9, is_cut: false };
        let hit = Hit {
            pid: 0,
            id: String::new(),
            score: 1.0,
            text: Some(text),
            snippet: Some(snippet),
            metadata: None,
            explanation: None,
        };
        let mut out = Vec::new();
        tinted(&mut out, &hit, &words).unwrap();
        let found = String::from_utf8(out).unwrap();
        let (strong, weak) = (style(0.6, 0.6), style(0.1, 0.6));
        let expected = format!("{INDENT}{strong}weaves{strong:#} a {weak}cloth{weak:#}\\u{{1b}}[2J of wool\n");
        assert_eq!(found, expected);
    }
}
