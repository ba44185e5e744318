//! NumPy's `.npy` files: f16 or f32 matrices read by rows, integer vectors, and a writer.
//!
//! `selvedge-bridges` reads the format, and describes it.

use crate::staged::Staged;
use crate::{Error, Result};
use selvedge_bridges::Array;
use std::path::{Path, PathBuf};

/// Array of f16 or f32, read in pieces.
pub struct NpyFloats {
    path: PathBuf,
    array: Array,
    /// Shape, as the header has it.
    pub shape: Vec<usize>,
}

impl NpyFloats {
    /// Opens an f16 or f32 array.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Npy`] if it is malformed or of another type.
    pub fn open(path: &Path) -> Result<Self> {
        let array = selvedge_bridges::npy::open(path)?.of_floats()?;
        let shape = array.shape().iter().map(|&axis| axis as usize).collect();
        Ok(Self { path: path.into(), array, shape })
    }

    /// Length of the last axis.
    pub fn dim(&self) -> usize {
        self.shape.last().copied().unwrap_or_default()
    }

    /// Number of rows: the product of all axes but the last.
    pub fn num_rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    /// Reads rows `start..start + count` and appends them to `out`.
    ///
    /// # Errors
    /// [`Error::Io`] if the rows cannot be read, [`Error::NotFinite`] if a component is NaN or infinite.
    pub fn read_rows(&mut self, start: usize, count: usize, out: &mut Vec<f32>) -> Result<()> {
        let (dim, before) = (self.dim(), out.len());
        self.array.read_floats((start * dim) as u64..((start + count) * dim) as u64, out)?;
        check_finite(&self.path, start, dim, &out[before..])
    }
}

/// Checks the components of rows, the first of which has the number `first`.
pub(crate) fn check_finite(path: &Path, first: usize, dim: usize, rows: &[f32]) -> Result<()> {
    match rows.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(Error::NotFinite { path: path.into(), row: first + at / dim }),
        None => Ok(()),
    }
}

/// Reads a vector of counts: i32, u32, i64 or u64.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Npy`] if it is malformed, of another type or shape, or holds a
/// number that is not a u32.
pub fn read_lens(path: &Path) -> Result<Vec<u32>> {
    Ok(selvedge_bridges::npy::open(path)?.all_u32()?)
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
        self.file.rewind()?;
        self.file.write(&header(descr, shape))?;
        self.file.finish()
    }
}

/// Header of an array of the type `descr`, such as `<f2`.
pub(crate) fn header(descr: &str, shape: &[usize]) -> [u8; HEADER_BYTES] {
    let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", axes.trim_end());
    let mut header = [b' '; HEADER_BYTES];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&((HEADER_BYTES - 10) as u16).to_le_bytes());
    header[10..10 + dict.len()].copy_from_slice(dict.as_bytes());
    header[HEADER_BYTES - 1] = b'\n';
    header
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
                assert!(said.contains("expected 0 to 2^32 - 1"), "{descr}: {said}");
            }
        }
        let (_dir, path) = file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", &[0; 4]);
        assert!(read_lens(&path).unwrap_err().to_string().contains("holds f32, expected i32"));
        let (_dir, path) = file("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)}", &[0; 8]);
        assert!(NpyFloats::open(&path).err().unwrap().to_string().contains("holds f64, expected f16, bf16 or f32"));
        let (_dir, path) = file("{'descr': '<u4', 'fortran_order': False, 'shape': (1,)}", &u32::MAX.to_le_bytes());
        assert_eq!(read_lens(&path).unwrap(), [u32::MAX]);
    }
}
