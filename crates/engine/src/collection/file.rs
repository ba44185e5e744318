//! A file of a folder to its passages, a piece of the file at a time.

use super::folder::FoundFile;
use super::split::Split;
use crate::text::{MOST_PASSAGE_BYTES, NotText, TextReader};
use crate::{Error, Result};
use selvedge_index::Document;
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::Path;

/// Bytes of a file that are split at a time; the tokenizer needs some hundred times as much memory meanwhile.
const PIECE_BYTES: usize = 256 << 10;

/// Why a file is skipped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    NotText(#[from] NotText),
    #[error("longer than {MOST_PASSAGE_BYTES} bytes, and not split")]
    TooLong,
}

/// Calls `each` with the passages of a file. The inner error is the file's, and no passage of it was given out then.
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
        let done = match ranges.as_slice() {
            // The last passage may go on in the next piece.
            [_, .., last] if rest.is_some() => last.start,
            _ => text.len(),
        };
        ranges.retain(|range| done == text.len() || range.start < done);
        parts.push(&text, &ranges, done)?;
        let Some(reader) = &mut rest else { return parts.finish().map(Ok) };
        text.drain(..done);
        // It was read to its end before: an error now means that the file has changed.
        let changed = |error: NotText| Error::BadFile { path: file.path.clone(), reason: error.to_string() };
        if reader.read(&mut text, PIECE_BYTES).map_err(changed)? {
            rest = None;
        }
    }
}

/// The beginning of a file, and the reader of the rest where there is more; all of the file is known to be text then.
fn open(path: &Path, split: Split<'_>) -> Result<(String, Option<TextReader>), Unreadable> {
    let (mut reader, mut text) = (TextReader::open(path)?, String::new());
    if reader.read(&mut text, PIECE_BYTES)? {
        return Ok((text, None));
    }
    if split.is_never() {
        while !reader.read(&mut text, PIECE_BYTES)? {
            if text.len() > MOST_PASSAGE_BYTES {
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

/// The passages of one file: named by its path alone if there is only one, numbered from 1 otherwise.
struct Parts<'a> {
    file: &'a FoundFile,
    count: usize,
    /// The first one and its line, until it is known whether there are more.
    first: Option<(usize, String)>,
    /// Line on which the piece begins.
    line: usize,
    each: &'a mut dyn FnMut(Document) -> Result<()>,
}

impl Parts<'_> {
    /// Adds the passages at `ranges` of a piece; the next piece begins at `done`.
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
        let metadata = Map::from_iter([("file".to_owned(), id.clone().into()), ("line".to_owned(), line.into())]);
        (self.each)(Document { id: format!("{id}{mark}{number}"), text, metadata: Some(Value::Object(metadata)) })
    }

    /// Gives out the only passage, empty if the file is blank.
    fn finish(self) -> Result<()> {
        match (self.count, self.first) {
            (0, _) => (self.each)(Document { id: self.file.id.clone(), text: String::new(), metadata: None }),
            (_, Some((_, text))) => (self.each)(Document { id: self.file.id.clone(), text, metadata: None }),
            (_, None) => Ok(()),
        }
    }
}

fn lines_in(text: &str) -> usize {
    text.bytes().filter(|&b| b == b'\n').count()
}
