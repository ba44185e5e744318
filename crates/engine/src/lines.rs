//! Text files line by line, each line with its number, invalid UTF-8 as an error that names it.

use crate::text::{self, MOST_PASSAGE_BYTES};
use crate::{Error, Result};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// An open file or standard input; gzip and Zstandard are undone.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: usize,
    buffer: Vec<u8>,
    /// Whether the buffer holds a line that [`Self::next`] has not given yet.
    is_held: bool,
}

impl Lines {
    /// Opens `path`; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self> {
        let reader = text::open(path).map_err(Error::io(path))?;
        Ok(Self { path: path.into(), reader, line: 0, buffer: Vec::new(), is_held: false })
    }

    /// First byte of the next line that is no white space, if any, without taking the line.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        if !self.is_held {
            self.is_held = self.advance()?;
        }
        let first = self.buffer.iter().copied().find(|b| !b.is_ascii_whitespace());
        Ok(first.filter(|_| self.is_held))
    }

    /// The next line that is not blank, without its end.
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

    /// Reads the next line that is not blank into the buffer; false at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        loop {
            self.buffer.clear();
            let mut reader = self.reader.by_ref().take(MOST_PASSAGE_BYTES as u64 + 1);
            let read = reader.read_until(b'\n', &mut self.buffer).map_err(Error::io(&self.path))?;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            if read > MOST_PASSAGE_BYTES {
                return Err(self.error(format!("is longer than {MOST_PASSAGE_BYTES} bytes")));
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

    /// Takes a byte order mark off the first line.
    fn drop_mark(&mut self) -> Result<()> {
        match self.buffer.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => drop(self.buffer.drain(..3)),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(self.error("is UTF-16; save the file as UTF-8")),
            _ => (),
        }
        Ok(())
    }

    /// Number of the line that [`Self::next`] gave last, from 1.
    pub fn number(&self) -> usize {
        self.line
    }

    /// An error about the line that [`Self::next`] gave last.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::line(&self.path, self.line, reason)
    }
}

/// Id and text of a line `id<TAB>text`.
pub(crate) fn split_tsv(line: &str) -> Result<(&str, &str), String> {
    let (id, text) = line.split_once('\t').ok_or("expected id<TAB>text, found no tab")?;
    check_id(id)?;
    Ok((id, text))
}

/// Whether the fields of a file's first line are names of columns.
pub(crate) fn is_tsv_header(id: &str, text: &str) -> bool {
    id.eq_ignore_ascii_case("id") && text.trim_end().eq_ignore_ascii_case("text")
}

/// Checks that an id is one that an index takes.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        Err("the id is empty".into())
    } else if id.trim().is_empty() {
        Err(format!("the id {id:?} is blank"))
    } else if id.contains(['\n', '\r', '\0']) {
        Err(format!("the id {id:?} holds a line break or a NUL"))
    } else {
        Ok(())
    }
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

    #[test]
    fn an_id_stands_on_a_line_of_its_own() {
        assert!(check_id("a b#1 é").is_ok());
        for id in ["", " ", "a\nb", "a\0b", "a\r"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
