//! Text files read by lines. Errors name the file and the line.

use crate::text::{self, MAX_PASSAGE_BYTES};
use crate::{Error, Result};
use selvedge_index::Document;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Reader of the lines of a file or of standard input. gzip and Zstandard are decompressed.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: usize,
    buffer: Vec<u8>,
    /// Whether the buffer holds a line that [`Self::next`] has not returned yet.
    is_held: bool,
}

impl Lines {
    /// Opens `path`; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened or its compression is corrupt.
    pub fn open(path: &Path) -> Result<Self> {
        let reader = text::open(path).map_err(Error::io(path))?;
        Ok(Self { path: path.into(), reader, line: 0, buffer: Vec::new(), is_held: false })
    }

    /// Returns the first byte, white space skipped, of the next line that is not blank, without consuming the
    /// line. `None` at the end of the file.
    ///
    /// # Errors
    /// As [`Lines::next`], except that UTF-8 is not checked.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        if !self.is_held {
            self.is_held = self.advance()?;
        }
        let first = self.buffer.iter().copied().find(|b| !b.is_ascii_whitespace());
        Ok(first.filter(|_| self.is_held))
    }

    /// Returns the next line that is not blank, without its line break; `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Utf8`] if the line is not UTF-8, [`Error::Line`] if it is
    /// longer than 64 MiB or the file is UTF-16.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<&str>> {
        if !std::mem::take(&mut self.is_held) && !self.advance()? {
            return Ok(None);
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::Utf8 { path: self.path.clone(), line: self.line }),
        }
    }

    /// Reads the next line that is not blank into the buffer; returns false at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        loop {
            self.buffer.clear();
            let mut reader = self.reader.by_ref().take(MAX_PASSAGE_BYTES as u64 + 1);
            let read = reader.read_until(b'\n', &mut self.buffer).map_err(Error::io(&self.path))?;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            if read > MAX_PASSAGE_BYTES {
                return Err(self.error(format!("is longer than {MAX_PASSAGE_BYTES} bytes")));
            }
            while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
                self.buffer.pop();
            }
            if self.line == 1 {
                self.drop_mark()?;
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
    }

    /// Removes a byte order mark from the first line.
    fn drop_mark(&mut self) -> Result<()> {
        match self.buffer.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => drop(self.buffer.drain(..3)),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(self.error("is UTF-16; save the file as UTF-8")),
            _ => (),
        }
        Ok(())
    }

    /// Path of the file, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the line that [`Self::next`] or [`Self::peek`] read last, from 1, blank lines counted; 0 before
    /// the first.
    pub fn number(&self) -> usize {
        self.line
    }

    /// Returns an [`Error::Line`] about the line of [`Self::number`], with the reason as the rest of its message.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::line(&self.path, self.line, reason)
    }

    /// Adds file and line to an error that refuses the document on the line that [`Self::next`] returned last.
    pub(crate) fn refused(&self, error: Error) -> Error {
        use selvedge_index::Error::{DocumentTooLarge, DuplicateId, IdExists, InvalidId, Metadata};
        match error {
            Error::Index(
                source @ (DuplicateId { .. }
                | IdExists { .. }
                | InvalidId { .. }
                | Metadata { .. }
                | DocumentTooLarge { .. }),
            ) => Error::RefusedLine { path: self.path.clone(), line: self.line, source },
            other => other,
        }
    }
}

/// Checks an id; the error names it.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    Document::check_id(id).map_err(|reason| format!("the id {id:?} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_at_the_next_line_does_not_take_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "\u{feff}\n \n     {one\r\ntwo").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(lines.peek().unwrap(), Some(b'{'));
        assert_eq!(lines.peek().unwrap(), Some(b'{'));
        assert_eq!(lines.next().unwrap(), Some("     {one"));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.next().unwrap(), Some("two"));
        assert_eq!((lines.peek().unwrap(), lines.next().unwrap()), (None, None));
    }

    /// The mark is on a line with text, where a mark that is kept would become part of the id.
    #[test]
    fn a_byte_order_mark_is_dropped_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "\u{feff}one\n\u{feff}two").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(lines.next().unwrap(), Some("one"));
        assert_eq!(lines.next().unwrap(), Some("\u{feff}two"), "a mark elsewhere is text");
        for mark in [[0xff, 0xfe], [0xfe, 0xff]] {
            std::fs::write(&path, mark).unwrap();
            let error = Lines::open(&path).unwrap().next().unwrap_err();
            assert!(matches!(&error, Error::Line { line: 1, reason, .. } if reason.contains("UTF-16")), "{error}");
        }
    }

    #[test]
    fn an_id_stands_on_a_line_of_its_own() {
        assert!(check_id("a b#1 é").is_ok());
        for id in ["", " ", "a\nb", "a\0b", "a\r"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
