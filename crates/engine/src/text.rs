//! Text files, decompressed and decoded.
//!
//! ```text
//! path or `-` --> gzip or Zstandard, by the first bytes --> UTF-8, or UTF-16 with a byte order mark --> pieces of text
//! ```
//!
//! A file is read in pieces: a small compressed file that expands to terabytes takes time, not memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Number of bytes at the start of a file that are searched for a zero byte, which marks a binary file, as in git.
const BINARY_CHECK_BYTES: usize = 8000;

/// Largest size of a passage: far beyond any model's maximum length, and small enough to be copied a few times.
pub(crate) const MAX_PASSAGE_BYTES: usize = 64 << 20;

/// Opens a file, or standard input for `-`. Gzip and Zstandard are decompressed, whatever the name of the file.
pub(crate) fn open(path: &Path) -> std::io::Result<Box<dyn BufRead + Send>> {
    let mut input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        Box::new(file)
    };
    let mut head = Vec::new();
    input.by_ref().take(4).read_to_end(&mut head)?;
    let (is_gzip, is_zstd) = (head.starts_with(b"\x1f\x8b"), head == b"\x28\xb5\x2f\xfd");
    let input = Cursor::new(head).chain(input);
    Ok(if is_gzip {
        buffered(flate2::read::MultiGzDecoder::new(BufReader::new(input)))
    } else if is_zstd {
        buffered(zstd::stream::read::Decoder::new(input)?)
    } else {
        buffered(input)
    })
}

fn buffered(input: impl Read + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(BufReader::with_capacity(1 << 16, input))
}

/// Reason why a file cannot be read as text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotText {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("not text")]
    Binary,
    #[error("line {line}: not valid UTF-8")]
    Utf8 { line: usize },
    #[error("line {line}: not valid UTF-16")]
    Utf16 { line: usize },
}

#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Utf8,
    Utf16Little,
    Utf16Big,
}

/// Open text file, read in pieces.
pub(crate) struct TextReader {
    input: Box<dyn BufRead + Send>,
    encoding: Encoding,
    /// Bytes that are read and not decoded yet: at most the beginning of one character.
    rest: Vec<u8>,
    line: usize,
}

impl TextReader {
    /// Opens a file and detects its encoding; a byte order mark is dropped.
    pub(crate) fn open(path: &Path) -> Result<Self, NotText> {
        let mut input = open(path)?;
        let mut head = Vec::new();
        input.by_ref().take(BINARY_CHECK_BYTES as u64).read_to_end(&mut head)?;
        let (encoding, mark_bytes) = match head.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
            [0xff, 0xfe, ..] => (Encoding::Utf16Little, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16Big, 2),
            _ => (Encoding::Utf8, 0),
        };
        if encoding == Encoding::Utf8 && head.contains(&0) {
            return Err(NotText::Binary);
        }
        head.drain(..mark_bytes);
        Ok(Self { input, encoding, rest: head, line: 1 })
    }

    /// Appends about `bytes` bytes of the file to `text`, in whole characters. Returns whether the file has ended.
    pub(crate) fn read(&mut self, text: &mut String, bytes: usize) -> Result<bool, NotText> {
        let more = self.input.by_ref().take(bytes as u64).read_to_end(&mut self.rest)?;
        let has_ended = more < bytes;
        let before = text.len();
        let decoded = match self.encoding {
            Encoding::Utf8 => take_utf8(&mut self.rest, text, has_ended),
            Encoding::Utf16Little => take_utf16(&mut self.rest, u16::from_le_bytes, text, has_ended),
            Encoding::Utf16Big => take_utf16(&mut self.rest, u16::from_be_bytes, text, has_ended),
        };
        self.line += text[before..].matches('\n').count();
        match (decoded, self.encoding) {
            (true, _) => Ok(has_ended),
            (false, Encoding::Utf8) => Err(NotText::Utf8 { line: self.line }),
            (false, _) => Err(NotText::Utf16 { line: self.line }),
        }
    }
}

/// Moves the valid UTF-8 at the start of `bytes` to `text`; false if something invalid follows it.
fn take_utf8(bytes: &mut Vec<u8>, text: &mut String, is_last: bool) -> bool {
    let (valid, is_valid) = match std::str::from_utf8(bytes) {
        Ok(_) => (bytes.len(), true),
        // The last character may continue in the next piece.
        Err(error) => (error.valid_up_to(), error.error_len().is_none() && !is_last),
    };
    text.push_str(std::str::from_utf8(&bytes[..valid]).expect("checked just now"));
    bytes.drain(..valid);
    is_valid
}

/// Moves the valid UTF-16 at the start of `bytes` to `text`; false if something invalid follows it.
fn take_utf16(bytes: &mut Vec<u8>, unit: fn([u8; 2]) -> u16, text: &mut String, is_last: bool) -> bool {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|b| unit([b[0], b[1]])).collect();
    // The second half of a surrogate pair may be in the next piece.
    let held = usize::from(!is_last && matches!(units.last(), Some(0xd800..=0xdbff)));
    let whole = &units[..units.len() - held];
    for c in char::decode_utf16(whole.iter().copied()) {
        match c {
            Ok(c) => text.push(c),
            Err(_) => return false,
        }
    }
    bytes.drain(..2 * whole.len());
    bytes.is_empty() || !is_last
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8], piece: usize) -> Result<String, NotText> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let mut reader = TextReader::open(&path)?;
        let mut text = String::new();
        while !reader.read(&mut text, piece)? {}
        Ok(text)
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        ['\u{feff}'].into_iter().chain(text.chars()).collect::<String>().encode_utf16().flat_map(unit).collect()
    }

    /// The text is longer than the bytes read first, so that pieces end inside characters.
    #[test]
    fn every_encoding_and_compression_gives_the_same_text() {
        let text = "naïve 𝄞 café\n".repeat(1500);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        let files = [
            text.clone().into_bytes(),
            marked,
            utf16(&text, u16::to_le_bytes),
            utf16(&text, u16::to_be_bytes),
            gzip.finish().unwrap(),
            zstd,
        ];
        for (number, file) in files.iter().enumerate() {
            for piece in [1, 7, 1 << 20] {
                assert!(read(file, piece).unwrap() == text, "file {number}, pieces of {piece}");
            }
        }
        assert_eq!(read(b"", 5).unwrap(), "");
        assert_eq!(read(b"a", 5).unwrap(), "a");
    }

    #[test]
    fn a_file_that_is_no_text_says_why() {
        let reason = |bytes: &[u8]| read(bytes, 100).unwrap_err().to_string();
        assert_eq!(reason(b"\x89PNG\0\0"), "not text");
        assert_eq!(reason(b"one\ntwo caf\xe9\n"), "line 2: not valid UTF-8");
        assert_eq!(reason(b"one caf\xc3"), "line 1: not valid UTF-8");
        assert_eq!(reason(b"\xff\xfea\0\x00\xd8b\0"), "line 1: not valid UTF-16");
        assert_eq!(reason(b"\xff\xfea\0b"), "line 1: not valid UTF-16");
        let late = [b"fine\n".repeat(5000).as_slice(), b"\xff"].concat();
        assert_eq!(reason(&late), "line 5001: not valid UTF-8");
        let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff";
        assert!(matches!(read(gzip, 9), Err(NotText::Io(_))));
    }
}
