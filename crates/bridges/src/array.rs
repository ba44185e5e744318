//! An array of numbers in a file, wherever its bytes begin: NumPy's files and torch's storages.
//!
//! **In:** a file, an element type, a shape and an offset, all checked against the length of the file, so that no
//! header can make this crate reserve more memory than the file has bytes. **Out:** runs of rows.

use crate::{Error, Result};
use half::f16;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Rows that are converted at a time where all are read.
const ROWS_AT_ONCE: u64 = 1 << 16;

/// Type of an element; all are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Kind {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// An array in C order.
#[derive(Debug)]
pub(crate) struct Array {
    path: PathBuf,
    file: File,
    kind: Kind,
    shape: Vec<u64>,
    data_start: u64,
}

impl Array {
    /// `end` is the end of the bytes that may belong to the array: of the file, or of a storage in it.
    pub(crate) fn new(path: &Path, file: File, kind: Kind, shape: Vec<u64>, data_start: u64, end: u64) -> Result<Self> {
        let bytes = shape.iter().try_fold(kind.bytes(), |bytes, &axis| bytes.checked_mul(axis));
        let fits = bytes.and_then(|bytes| bytes.checked_add(data_start)).is_some_and(|found| found <= end);
        if !fits {
            let reason = format!("its shape {shape:?} of {} needs more bytes than it has", kind.name());
            return Err(Error::malformed(path, reason));
        }
        Ok(Self { path: path.into(), file, kind, shape, data_start })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Number of rows: the length of the first axis.
    pub(crate) fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Returns this array if it has these axes (`None`: any length) and one of these types.
    pub(crate) fn expect(self, axes: &[Option<u64>], kinds: &[Kind]) -> Result<Self> {
        let fits = self.shape.len() == axes.len()
            && self.shape.iter().zip(axes).all(|(&found, expected)| expected.is_none_or(|length| length == found));
        if !kinds.contains(&self.kind) {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            return Err(self.bad(format!("holds {}, expected {}", self.kind.name(), names.join(" or "))));
        }
        match fits {
            true => Ok(self),
            false => {
                let axis = |axis: &Option<u64>| axis.map_or("any".to_owned(), |length| length.to_string());
                let expected: Vec<_> = axes.iter().map(axis).collect();
                Err(self.bad(format!("has shape {:?}, expected ({})", self.shape, expected.join(", "))))
            }
        }
    }

    /// Reads the bytes of rows, and appends them to `out`.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub(crate) fn read_bytes(&mut self, rows: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "rows {rows:?} of {}", self.rows());
        let row = self.kind.bytes() * self.shape.iter().skip(1).product::<u64>();
        let before = out.len();
        out.resize(before + ((rows.end - rows.start) * row) as usize, 0);
        self.file.seek(SeekFrom::Start(self.data_start + rows.start * row)).map_err(Error::io(&self.path))?;
        self.file.read_exact(&mut out[before..]).map_err(Error::io(&self.path))
    }

    /// Reads integers of rows, each of which is a u32, and appends them to `out`.
    pub(crate) fn read_u32(&mut self, rows: Range<u64>, out: &mut Vec<u32>, bytes: &mut Vec<u8>) -> Result<()> {
        let first = rows.start;
        bytes.clear();
        self.read_bytes(rows, bytes)?;
        let bad = |at: usize, value: i64| {
            Error::malformed(&self.path, format!("entry {} is {value}, expected 0 to 2^32 - 1", first + at as u64))
        };
        out.reserve(bytes.len() / self.kind.bytes() as usize);
        match self.kind {
            Kind::I32 => {
                for (at, value) in bytes.as_chunks().0.iter().enumerate() {
                    let value = i32::from_le_bytes(*value);
                    out.push(u32::try_from(value).map_err(|_| bad(at, value.into()))?);
                }
            }
            Kind::I64 => {
                for (at, value) in bytes.as_chunks().0.iter().enumerate() {
                    let value = i64::from_le_bytes(*value);
                    out.push(u32::try_from(value).map_err(|_| bad(at, value))?);
                }
            }
            kind => return Err(self.bad(format!("holds {}, expected i32 or i64", kind.name()))),
        }
        Ok(())
    }

    /// Reads all integers. Their bytes are never in memory all at once.
    pub(crate) fn all_u32(mut self) -> Result<Vec<u32>> {
        let (rows, mut bytes) = (self.rows(), Vec::new());
        let mut out = Vec::with_capacity(self.len() as usize);
        for first in (0..rows).step_by(ROWS_AT_ONCE as usize) {
            self.read_u32(first..rows.min(first + ROWS_AT_ONCE), &mut out, &mut bytes)?;
        }
        Ok(out)
    }

    /// Reads all elements as f32, each of which must be finite.
    pub(crate) fn all_f32(mut self) -> Result<Vec<f32>> {
        let (rows, mut bytes) = (self.rows(), Vec::new());
        self.read_bytes(0..rows, &mut bytes)?;
        let values: Vec<f32> = match self.kind {
            Kind::F16 => bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Kind::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Kind::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            kind => return Err(self.bad(format!("holds {}, expected f16, f32 or f64", kind.name()))),
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(self.bad(format!("element {at} is {}, which is not finite", values[at]))),
            None => Ok(values),
        }
    }

    fn bad(&self, reason: String) -> Error {
        Error::malformed(&self.path, reason)
    }
}
