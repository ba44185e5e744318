//! Text files line by line, each line with its number, invalid UTF-8 as an error that names it.

use crate::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// An open file or standard input.
pub struct Lines {
    path: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    line: usize,
    buffer: Vec<u8>,
}

impl Lines {
    /// Opens `path`; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self> {
        let inner: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            let file = File::open(path).map_err(Error::io(path))?;
            if file.metadata().map_err(Error::io(path))?.is_dir() {
                let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
                return Err(Error::Io { path: path.into(), source });
            }
            Box::new(file)
        };
        Ok(Self { path: path.into(), reader: BufReader::with_capacity(1 << 16, inner), line: 0, buffer: Vec::new() })
    }

    /// First byte that is no white space, if any, without taking it.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        let bytes = self.reader.fill_buf().map_err(Error::io(&self.path))?;
        Ok(bytes.iter().copied().find(|b| !b.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(b)))
    }

    /// The next line that is not blank, without its end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<&str>> {
        loop {
            self.buffer.clear();
            let read = self.reader.read_until(b'\n', &mut self.buffer).map_err(Error::io(&self.path))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
                self.buffer.pop();
            }
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::Utf8 { path: self.path.clone(), line: self.line }),
        }
    }

    /// Number, from 1, of the line that [`Self::next`] gave last.
    pub fn number(&self) -> usize {
        self.line
    }

    /// An error about the line that [`Self::next`] gave last.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::line(&self.path, self.line, reason)
    }
}
