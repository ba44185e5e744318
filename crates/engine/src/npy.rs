//! NumPy's `.npy` files: f16 or f32 matrices read by rows, and i32 or i64 vectors.
//!
//! Format: magic `\x93NUMPY`, version, header length, a Python dict as text, then the raw array
//! (NumPy Enhancement Proposal 1). The crates that parse it pull in a Python grammar; the four
//! headers that a writer of C-order arrays makes need none.

use crate::{Error, Result};
use half::f16;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An open array of floats, read in pieces.
pub struct NpyFloats {
    path: PathBuf,
    file: File,
    /// Shape as written.
    pub shape: Vec<usize>,
    half: bool,
    data_start: u64,
}

struct Header {
    descr: String,
    shape: Vec<usize>,
    data_start: u64,
}

impl NpyFloats {
    /// Opens an f16 or f32 array.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, header) = open(path)?;
        let half = match header.descr.as_str() {
            "<f2" => true,
            "<f4" => false,
            other => return Err(bad(path, format!("holds {other}, expected f16 (<f2) or f32 (<f4)"))),
        };
        check_length(path, &file, &header, if half { 2 } else { 4 })?;
        Ok(Self { path: path.into(), file, shape: header.shape, half, data_start: header.data_start })
    }

    /// Length of the last axis.
    pub fn dim(&self) -> usize {
        *self.shape.last().expect("a shape is never empty")
    }

    /// Rows of the last axis.
    pub fn num_rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    /// Reads rows `start..start + count` of the last axis, appending to `out`; NaN and infinity are errors.
    pub fn read_rows(&mut self, start: usize, count: usize, out: &mut Vec<f32>) -> Result<()> {
        let (dim, size) = (self.dim(), if self.half { 2 } else { 4 });
        let mut bytes = vec![0u8; count * dim * size];
        let at = self.data_start + (start * dim * size) as u64;
        self.file.seek(SeekFrom::Start(at)).map_err(Error::io(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        let before = out.len();
        if self.half {
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

/// Reads a vector of i32 or i64 counts.
pub fn read_lens(path: &Path) -> Result<Vec<u32>> {
    let (mut file, header) = open(path)?;
    let size = match header.descr.as_str() {
        "<i4" | "<u4" => 4,
        "<i8" | "<u8" => 8,
        other => return Err(bad(path, format!("holds {other}, expected i32 (<i4)"))),
    };
    if header.shape.len() != 1 {
        return Err(bad(path, format!("has shape {:?}, expected one axis", header.shape)));
    }
    check_length(path, &file, &header, size)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::io(path))?;
    let value = |b: &[u8]| match size {
        4 => i64::from(i32::from_le_bytes(b.try_into().expect("four bytes"))),
        _ => i64::from_le_bytes(b.try_into().expect("eight bytes")),
    };
    let entries = bytes.chunks_exact(size).map(value).enumerate();
    entries
        .map(|(i, v)| u32::try_from(v).map_err(|_| bad(path, format!("entry {i} is {v}, not a number of tokens"))))
        .collect()
}

/// Writes an array whose length is known only at the end: the header leaves room for it. The file appears
/// under its name when it is finished, and not at all otherwise.
pub struct NpyWriter {
    path: PathBuf,
    file: std::io::BufWriter<tempfile::NamedTempFile>,
}

/// Bytes of the header that [`NpyWriter`] writes.
const HEADER_BYTES: usize = 128;

impl NpyWriter {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".partial");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(Error::io(path))?;
        let mut writer = Self { path: path.into(), file: std::io::BufWriter::new(file) };
        writer.write(&[0u8; HEADER_BYTES])?;
        Ok(writer)
    }

    /// Appends raw bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io(&self.path))
    }

    /// Writes the header: `descr` such as `<f2`, and the shape.
    pub fn finish(mut self, descr: &str, shape: &[usize]) -> Result<()> {
        let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", axes.trim_end());
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend(((HEADER_BYTES - 10) as u16).to_le_bytes());
        header.extend(dict.as_bytes());
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        self.file.seek(SeekFrom::Start(0)).map_err(Error::io(&self.path))?;
        self.write(&header)?;
        let file = self.file.into_inner().map_err(|e| Error::Io { path: self.path.clone(), source: e.into_error() })?;
        file.persist(&self.path).map_err(|e| Error::Io { path: self.path, source: e.error })?;
        Ok(())
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
    let text = String::from_utf8_lossy(&text).into_owned();
    let header = parse(&text, (before + length) as u64).ok_or_else(|| bad(path, format!("has the header {text}")))?;
    if text.contains("'fortran_order': True") {
        return Err(bad(path, "is in Fortran order; save it with numpy.ascontiguousarray".into()));
    }
    Ok((file, header))
}

fn parse(text: &str, data_start: u64) -> Option<Header> {
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest.trim_start());
    let descr = after("'descr':")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
    let axes = after("'shape':")?.strip_prefix('(')?.split_once(')')?.0;
    let shape: Option<Vec<usize>> =
        axes.split(',').map(str::trim).filter(|a| !a.is_empty()).map(|a| a.parse().ok()).collect();
    let shape = shape?;
    (!shape.is_empty()).then_some(Header { descr, shape, data_start })
}

fn check_length(path: &Path, file: &File, header: &Header, size: usize) -> Result<()> {
    let found = file.metadata().map_err(Error::io(path))?.len();
    let elements = header.shape.iter().try_fold(size, |n, &axis| n.checked_mul(axis));
    let expected = elements.and_then(|n| (n as u64).checked_add(header.data_start));
    match expected {
        Some(expected) if expected == found => Ok(()),
        _ => Err(bad(path, format!("has {found} bytes, its shape {:?} asks for {expected:?}", header.shape))),
    }
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
}
