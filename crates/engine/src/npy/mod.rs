//! NumPy's `.npy` files: f16 or f32 matrices read by rows, and integer vectors.
//!
//! Format: magic `\x93NUMPY`, version, header length, a Python dict as text, then the raw array (NumPy Enhancement
//! Proposal 1). `header.rs` parses the few literals that the dict has; a crate for it would bring a Python grammar.

mod header;

use crate::staged::Staged;
use crate::{Error, Result};
use half::f16;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Array of f16 or f32, read in pieces.
pub struct NpyFloats {
    path: PathBuf,
    file: File,
    /// Shape, as the header has it.
    pub shape: Vec<usize>,
    is_half: bool,
    data_start: u64,
}

/// Header of an array in C order, and the offset of its data.
struct Header {
    descr: String,
    shape: Vec<usize>,
    data_start: u64,
}

impl NpyFloats {
    /// Opens an f16 or f32 array.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Npy`] if it is malformed or of another type.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, header) = open(path)?;
        let is_half = match header.descr.as_str() {
            "<f2" => true,
            "<f4" => false,
            other => return Err(bad(path, format!("holds {}, expected f16 (<f2) or f32 (<f4)", describe(other)))),
        };
        check_length(path, &file, &header, if is_half { 2 } else { 4 })?;
        Ok(Self { path: path.into(), file, shape: header.shape, is_half, data_start: header.data_start })
    }

    /// Length of the last axis.
    pub fn dim(&self) -> usize {
        self.shape.last().copied().unwrap_or_default()
    }

    /// Number of rows: the product of all axes but the last.
    pub fn num_rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    /// Whether components are f32; f16 otherwise.
    pub fn is_f32(&self) -> bool {
        !self.is_half
    }

    /// Reads rows `start..start + count` and appends them to `out`.
    ///
    /// # Errors
    /// [`Error::Io`] if the rows cannot be read, [`Error::NotFinite`] if a component is NaN or infinite.
    pub fn read_rows(&mut self, start: usize, count: usize, out: &mut Vec<f32>) -> Result<()> {
        let (dim, size) = (self.dim(), if self.is_half { 2 } else { 4 });
        let mut bytes = vec![0u8; count * dim * size];
        let at = self.data_start + (start * dim * size) as u64;
        self.file.seek(SeekFrom::Start(at)).map_err(Error::io(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        let before = out.len();
        if self.is_half {
            out.extend(bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()));
        } else {
            out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
        match out[before..].iter().position(|x| !x.is_finite()) {
            Some(at) => Err(Error::NotFinite { path: self.path.clone(), row: start + at / dim }),
            None => Ok(()),
        }
    }
}

/// Reads a vector of counts: i32, u32, i64 or u64.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Npy`] if it is malformed, of another type or shape, or holds a
/// number that is not a u32.
#[expect(clippy::missing_panics_doc, reason = "the chunks have the size of an entry")]
pub fn read_lens(path: &Path) -> Result<Vec<u32>> {
    let (mut file, header) = open(path)?;
    let value: fn(&[u8]) -> i128 = match header.descr.as_str() {
        "<i4" => |b| i32::from_le_bytes(b.try_into().expect("four bytes")).into(),
        "<u4" => |b| u32::from_le_bytes(b.try_into().expect("four bytes")).into(),
        "<i8" => |b| i64::from_le_bytes(b.try_into().expect("eight bytes")).into(),
        "<u8" => |b| u64::from_le_bytes(b.try_into().expect("eight bytes")).into(),
        other => return Err(bad(path, format!("holds {}, expected i32 (<i4)", describe(other)))),
    };
    let size = if header.descr.ends_with('4') { 4 } else { 8 };
    if header.shape.len() != 1 {
        return Err(bad(path, format!("has shape {:?}, expected one axis", header.shape)));
    }
    check_length(path, &file, &header, size)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::io(path))?;
    let entries = bytes.chunks_exact(size).map(value).enumerate();
    entries
        .map(|(i, v)| u32::try_from(v).map_err(|_| bad(path, format!("entry {i} is {v}, not a number of tokens"))))
        .collect()
}

/// Writer of an array whose length is known only at the end. The file appears under its name when it is finished.
pub struct NpyWriter {
    file: Staged,
}

/// Bytes of the header that [`NpyWriter`] writes.
const HEADER_BYTES: usize = 128;

impl NpyWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// [`Error::Io`] if its folder cannot be written, or `path` is a pipe or another special file.
    pub fn create(path: &Path) -> Result<Self> {
        let mut file = Staged::create(path)?;
        // The header is filled in at the end: a target that cannot be rewound is refused now.
        file.rewind()?;
        file.write(&[0u8; HEADER_BYTES])?;
        Ok(Self { file })
    }

    /// Appends elements of the array as bytes: little-endian, in C order.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)
    }

    /// Writes the header (the type `descr`, such as `<f2`, and the shape of all elements written), and completes the
    /// file, which then appears under its name.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn finish(mut self, descr: &str, shape: &[usize]) -> Result<()> {
        let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", axes.trim_end());
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend(((HEADER_BYTES - 10) as u16).to_le_bytes());
        header.extend(dict.as_bytes());
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        self.file.rewind()?;
        self.file.write(&header)?;
        self.file.finish()
    }
}

fn bad(path: &Path, reason: String) -> Error {
    Error::Npy { path: path.into(), reason }
}

fn open(path: &Path) -> Result<(File, Header)> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut start = [0u8; 12];
    let short = |_| bad(path, "is not a NumPy file: it ends inside the header".into());
    file.read_exact(&mut start[..10]).map_err(short)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(bad(path, "is not a NumPy file: it does not begin with \\x93NUMPY".into()));
    }
    let (length, before) = match start[6] {
        1 => (usize::from(u16::from_le_bytes([start[8], start[9]])), 10),
        2 | 3 => {
            file.read_exact(&mut start[10..]).map_err(short)?;
            (u32::from_le_bytes([start[8], start[9], start[10], start[11]]) as usize, 12)
        }
        version => return Err(bad(path, format!("has format version {version}, expected 1 to 3"))),
    };
    if length > 1 << 16 {
        return Err(bad(path, format!("has a header of {length} bytes")));
    }
    let mut text = vec![0u8; length];
    file.read_exact(&mut text).map_err(short)?;
    let text = String::from_utf8(text).map_err(|_| bad(path, "has a header that is not valid UTF-8".into()))?;
    let parsed = header::parse(&text).map_err(|reason| bad(path, format!("has a header that {reason}")))?;
    let shape = parsed.shape;
    if shape.is_empty() {
        return Err(bad(path, "holds a single number, expected an array".into()));
    }
    if parsed.is_fortran && shape.len() > 1 {
        return Err(bad(path, "is in Fortran order; save it with numpy.ascontiguousarray".into()));
    }
    Ok((file, Header { descr: parsed.descr, shape, data_start: (before + length) as u64 }))
}

/// Returns the type of an element in words, then its code in brackets.
fn describe(descr: &str) -> String {
    let (order, code) = descr.split_at(descr.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0));
    let bits = code.get(1..).and_then(|bytes| bytes.parse::<usize>().ok()).unwrap_or(0).saturating_mul(8);
    let kind = match code.bytes().next() {
        _ if descr.starts_with('[') => "records".into(),
        Some(b'b') => "bool".into(),
        Some(b'O') => "Python objects".into(),
        Some(b'S' | b'U' | b'a') => "strings".into(),
        Some(b'M' | b'm') => "times".into(),
        Some(b'c') => format!("complex numbers of {bits} bits"),
        Some(kind @ (b'f' | b'i' | b'u')) => format!("{}{bits}", char::from(kind)),
        _ => return descr.to_owned(),
    };
    format!("{}{kind} ({descr})", if order == ">" { "big-endian " } else { "" })
}

fn check_length(path: &Path, file: &File, header: &Header, size: usize) -> Result<()> {
    let found = file.metadata().map_err(Error::io(path))?.len();
    let elements = header.shape.iter().try_fold(size, |n, &axis| n.checked_mul(axis));
    let expected = elements.and_then(|n| (n as u64).checked_add(header.data_start));
    if expected == Some(found) {
        return Ok(());
    }
    let expected = expected.map_or("more than a file can have".into(), |bytes| bytes.to_string());
    Err(bad(path, format!("has {found} bytes, its shape {:?} needs {expected}", header.shape)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let mut writer = NpyWriter::create(&path).unwrap();
        for x in [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0] {
            writer.write(&x.to_le_bytes()).unwrap();
        }
        writer.finish("<f4", &[3, 2]).unwrap();
        let mut npy = NpyFloats::open(&path).unwrap();
        assert_eq!((npy.shape.as_slice(), npy.dim(), npy.num_rows()), ([3, 2].as_slice(), 2, 3));
        let mut rows = Vec::new();
        npy.read_rows(1, 2, &mut rows).unwrap();
        assert_eq!(rows, [3.0, 4.0, 5.0, 6.0]);
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(NpyFloats::open(&path).is_err(), "cut at {cut}");
        }
    }

    /// A file with this header and this data.
    fn file(dict: &str, data: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes.extend(data);
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn an_array_in_fortran_order_is_refused_in_every_spelling() {
        for dict in [
            "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 8), }",
            "{'descr':'<f4','fortran_order':True,'shape':(3,8)}",
            "{\"descr\": \"<f4\", \"fortran_order\" : True, \"shape\": (3, 8)}",
        ] {
            let (_dir, path) = file(dict, &[0; 96]);
            let said = NpyFloats::open(&path).err().unwrap().to_string();
            assert!(said.contains("is in Fortran order; save it with numpy.ascontiguousarray"), "{dict}: {said}");
            let (_dir, path) = file(&dict.replace("True", "False"), &[0; 96]);
            assert_eq!(NpyFloats::open(&path).unwrap().shape, [3, 8], "{dict}");
        }
        // One axis has one order.
        let (_dir, path) = file("{'descr': '<i4', 'fortran_order': True, 'shape': (2,)}", &[1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(read_lens(&path).unwrap(), [1, 2]);
    }

    #[test]
    fn a_type_that_is_not_read_is_named_in_words() {
        for (descr, words) in [
            ("'>f4'", "holds big-endian f32 (>f4), expected f16 (<f2) or f32 (<f4)"),
            ("'<f8'", "holds f64 (<f8)"),
            ("'|b1'", "holds bool (|b1)"),
            ("'|O'", "holds Python objects (|O)"),
            ("'<U7'", "holds strings (<U7)"),
            ("[('a', '<f4')]", "holds records ([('a', '<f4')])"),
            ("'?'", "holds ?"),
            ("''", "holds "),
        ] {
            let dict = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 8)}}");
            let (_dir, path) = file(&dict, &[0; 96]);
            let said = NpyFloats::open(&path).err().unwrap().to_string();
            assert!(said.contains(words), "{said}");
        }
        let (_dir, path) = file("{'descr': '>i4', 'fortran_order': False, 'shape': (1,)}", &[0; 4]);
        assert!(read_lens(&path).unwrap_err().to_string().contains("holds big-endian i32 (>i4), expected i32 (<i4)"));
    }

    #[test]
    fn sizes_are_shown_as_numbers() {
        let (_dir, path) = file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8)}", &[0; 99]);
        let said = NpyFloats::open(&path).err().unwrap().to_string();
        assert!(said.contains("has 166 bytes, its shape [3, 8] needs 163"), "{said}");
        let huge = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 8)}}", usize::MAX);
        let (_dir, path) = file(&huge, &[]);
        assert!(NpyFloats::open(&path).err().unwrap().to_string().contains("needs more than a file can have"));
        let (_dir, path) = file("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", &[0; 4]);
        assert!(NpyFloats::open(&path).err().unwrap().to_string().contains("holds a single number"));
    }

    #[test]
    fn lengths_of_every_width_are_counts_or_refused() {
        for (descr, one, large) in [
            ("<i4", 5i32.to_le_bytes().to_vec(), (-1i32).to_le_bytes().to_vec()),
            ("<u4", 5u32.to_le_bytes().to_vec(), vec![]),
            ("<i8", 5i64.to_le_bytes().to_vec(), (1i64 << 32).to_le_bytes().to_vec()),
            ("<u8", 5u64.to_le_bytes().to_vec(), u64::MAX.to_le_bytes().to_vec()),
        ] {
            let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,)}}");
            let (_dir, path) = file(&dict, &one);
            assert_eq!(read_lens(&path).unwrap(), [5], "{descr}");
            if !large.is_empty() {
                let (_dir, path) = file(&dict, &large);
                let said = read_lens(&path).unwrap_err().to_string();
                assert!(said.contains("not a number of tokens"), "{descr}: {said}");
            }
        }
        let (_dir, path) = file("{'descr': '<u4', 'fortran_order': False, 'shape': (1,)}", &u32::MAX.to_le_bytes());
        assert_eq!(read_lens(&path).unwrap(), [u32::MAX]);
    }
}
