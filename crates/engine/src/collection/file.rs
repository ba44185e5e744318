//! Passages of one file of a folder, read piece by piece.

use super::folder::FoundFile;
use super::split::Split;
use crate::text::{MAX_PASSAGE_BYTES, NotText, TextReader};
use crate::{Error, Result};
use selvedge_index::Document;
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::Path;

/// Bytes of a file that are split at a time. The tokenizer needs about a hundred times as much memory.
const PIECE_BYTES: usize = 256 << 10;
/// Maximum bytes of a piece that is extended because it holds no boundary between passages.
const MAX_PIECE_BYTES: usize = 16 * PIECE_BYTES;

/// Reason for skipping a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    NotText(#[from] NotText),
    #[error("longer than {MAX_PASSAGE_BYTES} bytes, and not split")]
    TooLong,
}

/// Calls `each` with the passages of a file. The inner error says that the file was skipped: `each` has not been
/// called.
pub(super) fn read(
    file: &FoundFile,
    split: Split<'_>,
    each: &mut dyn FnMut(Document) -> Result<()>,
) -> Result<Result<(), Unreadable>> {
    let (mut text, mut rest) = match open(&file.path, split) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    let mut parts = Parts { file, count: 0, first: None, line: 1, each };
    loop {
        let mut ranges = split.ranges(&text)?;
        let mut done = text.len();
        if let Some(reader) = &mut rest {
            match ranges.as_slice() {
                // The last passage may continue in the next piece.
                [_, .., last] => done = last.start,
                _ if text.len() < MAX_PIECE_BYTES && last_space(&text).is_some() => {
                    if read_on(reader, &mut text, &file.path)? {
                        rest = None;
                    }
                    continue;
                }
                // A passage of more bytes than a piece: it ends at a space, or at the piece's end within a word.
                _ => {
                    done = last_space(&text).unwrap_or(text.len());
                    ranges = vec![0..done];
                }
            }
        }
        ranges.retain(|range| done == text.len() || range.start < done);
        parts.push(&text, &ranges, done)?;
        let Some(reader) = &mut rest else { return parts.finish().map(Ok) };
        text.drain(..done);
        if read_on(reader, &mut text, &file.path)? {
            rest = None;
        }
    }
}

/// Appends a piece of the file; returns whether the file has ended.
fn read_on(reader: &mut TextReader, text: &mut String, path: &Path) -> Result<bool> {
    // The file was read to its end before: an error now means that it has changed.
    let changed = |error: NotText| Error::BadFile { path: path.into(), reason: error.to_string() };
    reader.read(text, PIECE_BYTES).map_err(changed)
}

/// Returns the byte after the last white space among the last [`PIECE_BYTES`] bytes of a text. Without any, the text
/// ends in a word that is too long to wait for its end.
fn last_space(text: &str) -> Option<usize> {
    let tail = text.ceil_char_boundary(text.len().saturating_sub(PIECE_BYTES));
    let (at, space) = text[tail..].char_indices().rfind(|(_, c)| c.is_whitespace())?;
    Some(tail + at + space.len_utf8())
}

/// Opens a file and reads its first piece. Returns a reader of the rest if there is more, after checking that all of
/// the file is text.
fn open(path: &Path, split: Split<'_>) -> Result<(String, Option<TextReader>), Unreadable> {
    let (mut reader, mut text) = (TextReader::open(path)?, String::new());
    if reader.read(&mut text, PIECE_BYTES)? {
        return Ok((text, None));
    }
    if split.is_never() {
        while !reader.read(&mut text, PIECE_BYTES)? {
            if text.len() > MAX_PASSAGE_BYTES {
                return Err(Unreadable::TooLong);
            }
        }
        return Ok((text, None));
    }
    let (mut check, mut piece) = (TextReader::open(path)?, String::new());
    while !check.read(&mut piece, PIECE_BYTES)? {
        piece.clear();
    }
    Ok((text, Some(reader)))
}

/// Passages of one file. A single passage has the file's id; several are numbered from 1.
struct Parts<'a> {
    file: &'a FoundFile,
    count: usize,
    /// Line and text of the first passage, held until it is known whether there are more.
    first: Option<(usize, String)>,
    /// Line number at the start of the piece.
    line: usize,
    each: &'a mut dyn FnMut(Document) -> Result<()>,
}

impl Parts<'_> {
    /// Adds the passages at `ranges` of a piece. The next piece begins at byte `done`.
    fn push(&mut self, text: &str, ranges: &[Range<usize>], done: usize) -> Result<()> {
        let (mut at, mut line) = (0, self.line);
        for range in ranges {
            let part = text[range.clone()].trim();
            if part.is_empty() {
                continue;
            }
            let start = range.end - text[range.clone()].trim_start().len();
            line += lines_in(&text[at..start]);
            at = start;
            self.add(line, part.to_owned())?;
        }
        self.line += lines_in(&text[..done]);
        Ok(())
    }

    fn add(&mut self, line: usize, text: String) -> Result<()> {
        self.count += 1;
        if self.count == 1 {
            self.first = Some((line, text));
            return Ok(());
        }
        if let Some((line, text)) = self.first.take() {
            self.give(1, line, text)?;
        }
        self.give(self.count, line, text)
    }

    fn give(&mut self, number: usize, line: usize, text: String) -> Result<()> {
        let FoundFile { id, mark, .. } = self.file;
        self.pass_on(part_id(id, mark, number), line, text)
    }

    /// Passes on the only passage, which is empty if the file is blank.
    fn finish(mut self) -> Result<()> {
        let blank = || (self.count == 0).then(|| (1, String::new()));
        match self.first.take().or_else(blank) {
            Some((line, text)) => self.pass_on(self.file.id.clone(), line, text),
            None => Ok(()),
        }
    }

    /// Passes on a passage with its file and line, by which filters find it, whether the file is split or not.
    fn pass_on(&mut self, id: String, line: usize, text: String) -> Result<()> {
        let file = self.file.id.clone();
        let metadata = Map::from_iter([("file".to_owned(), file.into()), ("line".to_owned(), line.into())]);
        (self.each)(Document { id, text, metadata: Some(Value::Object(metadata)) })
    }
}

/// Id of a part of the file `id`.
pub(super) fn part_id(id: &str, mark: &str, number: usize) -> String {
    format!("{id}{mark}{number}")
}

fn lines_in(text: &str) -> usize {
    text.bytes().filter(|&b| b == b'\n').count()
}
