//! An array of numbers in a file, wherever its bytes begin: NumPy's files and torch's storages.
//!
//! **In:** a file, an element type, a shape and an offset, all checked against the length of the file, so that no
//! header can make this crate reserve more memory than the file has bytes. **Out:** runs of rows.

use crate::{Error, Result};
use half::{bf16, f16};
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
    U32,
    I64,
    U64,
    F16,
    Bf16,
    F32,
    F64,
    /// Text of this number of characters, 4 bytes each, padded with zeros.
    Utf32(u32),
    /// Text of this number of bytes, padded with zeros.
    Bytes(u32),
}

impl Kind {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
            Self::Utf32(chars) => 4 * u64::from(chars),
            Self::Bytes(bytes) => bytes.into(),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Utf32(_) | Self::Bytes(_) => "strings",
        }
    }
}

/// Type, shape and first byte of an array in C order.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<u64>,
    pub(crate) start: u64,
}

impl Place {
    /// Returns the byte after the array; `None` beyond the largest of files. Otherwise no product of axes overflows,
    /// even if other axes are zero.
    pub(crate) fn end(&self) -> Option<u64> {
        let size = self.kind.bytes().max(1);
        self.shape.iter().try_fold(size, |bytes, &axis| bytes.checked_mul(axis.max(1)))?;
        self.shape.iter().product::<u64>().checked_mul(self.kind.bytes())?.checked_add(self.start)
    }
}

/// An array in C order, which is read in pieces.
#[derive(Debug)]
pub struct Array {
    path: PathBuf,
    file: File,
    place: Place,
}

impl Array {
    /// `end` is the end of the bytes that may belong to the array: of the file, or of a storage in it.
    pub(crate) fn new(path: &Path, file: File, place: Place, end: u64) -> Result<Self> {
        if place.end().is_none_or(|found| found > end) {
            let Place { kind, shape, .. } = place;
            let reason = format!("its shape {shape:?} of {} needs more bytes than it has", kind.name());
            return Err(Error::malformed(path, reason));
        }
        Ok(Self::of_place(path, file, place))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Array at a place that was checked.
    pub(crate) fn of_place(path: &Path, file: File, place: Place) -> Self {
        Self { path: path.into(), file, place }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of each axis. No product of some of them overflows.
    pub fn shape(&self) -> &[u64] {
        &self.place.shape
    }

    /// Returns this array if its elements are f16, bf16 or f32.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are not.
    pub fn of_floats(self) -> Result<Self> {
        match check_floats(&self.place) {
            Ok(()) => Ok(self),
            Err(reason) => Err(self.bad(reason)),
        }
    }

    /// Reads elements, flattened, and appends them to `out`. They may be NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read.
    ///
    /// # Panics
    /// If there are fewer elements, or they are not floats.
    pub fn read_floats(&mut self, elements: Range<u64>, out: &mut Vec<f32>) -> Result<()> {
        assert!(elements.start <= elements.end && elements.end <= self.len(), "{elements:?} of {}", self.len());
        let size = self.place.kind.bytes();
        let mut bytes = vec![0u8; ((elements.end - elements.start) * size) as usize];
        let at = self.place.start + elements.start * size;
        read_at(&mut self.file, at, &mut bytes).map_err(Error::io(&self.path))?;
        floats(self.place.kind, &bytes, out);
        Ok(())
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> u64 {
        self.place.shape.iter().product()
    }

    /// Number of rows: the length of the first axis.
    pub(crate) fn rows(&self) -> u64 {
        self.place.shape.first().copied().unwrap_or(1)
    }

    /// Returns this array if it has these axes (`None`: any length) and one of these types.
    pub(crate) fn expect(self, axes: &[Option<u64>], kinds: &[Kind]) -> Result<Self> {
        let fits = self.place.shape.len() == axes.len()
            && self
                .place
                .shape
                .iter()
                .zip(axes)
                .all(|(&found, expected)| expected.is_none_or(|length| length == found));
        if !kinds.contains(&self.place.kind) {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            return Err(self.bad(format!("holds {}, expected {}", self.place.kind.name(), names.join(" or "))));
        }
        match fits {
            true => Ok(self),
            false => {
                let axis = |axis: &Option<u64>| axis.map_or("any".to_owned(), |length| length.to_string());
                let expected: Vec<_> = axes.iter().map(axis).collect();
                Err(self.bad(format!("has shape {:?}, expected ({})", self.place.shape, expected.join(", "))))
            }
        }
    }

    /// Reads the bytes of rows, and appends them to `out`.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub(crate) fn read_bytes(&mut self, rows: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "rows {rows:?} of {}", self.rows());
        let row = self.place.kind.bytes() * self.place.shape.iter().skip(1).product::<u64>();
        let before = out.len();
        out.resize(before + ((rows.end - rows.start) * row) as usize, 0);
        let at = self.place.start + rows.start * row;
        read_at(&mut self.file, at, &mut out[before..]).map_err(Error::io(&self.path))
    }

    /// Reads integers of rows, each of which is a u32, and appends them to `out`.
    pub(crate) fn read_u32(&mut self, rows: Range<u64>, out: &mut Vec<u32>, bytes: &mut Vec<u8>) -> Result<()> {
        let first = rows.start;
        bytes.clear();
        self.read_bytes(rows, bytes)?;
        out.reserve(bytes.len() / self.place.kind.bytes() as usize);
        match self.place.kind {
            Kind::I32 => push_u32(bytes, i32::from_le_bytes, out),
            Kind::U32 => push_u32(bytes, u32::from_le_bytes, out),
            Kind::I64 => push_u32(bytes, i64::from_le_bytes, out),
            Kind::U64 => push_u32(bytes, u64::from_le_bytes, out),
            kind => unreachable!("{} are not counts", kind.name()),
        }
        .map_err(|(at, value)| self.bad(format!("entry {} is {value}, expected 0 to 2^32 - 1", first + at as u64)))
    }

    /// Reads all integers of an array of one axis: i32, u32, i64 or u64. Their bytes are never in memory
    /// all at once.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read, [`Error::Malformed`] if there are more axes, elements of another type, or
    /// a number that is not a u32.
    pub fn all_u32(mut self) -> Result<Vec<u32>> {
        let rows = match (self.place.kind, self.place.shape.as_slice()) {
            (Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64, &[rows]) => rows,
            (Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64, shape) => {
                return Err(self.bad(format!("has shape {shape:?}, expected one axis")));
            }
            (kind, _) => return Err(self.bad(format!("holds {}, expected i32, u32, i64 or u64", kind.name()))),
        };
        let (mut out, mut bytes) = (Vec::with_capacity(rows as usize), Vec::new());
        for first in (0..rows).step_by(ROWS_AT_ONCE as usize) {
            self.read_u32(first..rows.min(first + ROWS_AT_ONCE), &mut out, &mut bytes)?;
        }
        Ok(out)
    }

    /// Reads all elements as f32, each of which must be finite.
    pub(crate) fn all_f32(mut self) -> Result<Vec<f32>> {
        let (rows, mut bytes) = (self.rows(), Vec::new());
        self.read_bytes(0..rows, &mut bytes)?;
        let values: Vec<f32> = match self.place.kind {
            Kind::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            kind => {
                check_floats(&self.place).map_err(|reason| self.bad(reason))?;
                let mut values = Vec::with_capacity(bytes.len() / kind.bytes() as usize);
                floats(kind, &bytes, &mut values);
                values
            }
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

/// Converts integers to u32, and appends them to `out`. The error is the place and the value of one that is none.
fn push_u32<const N: usize, T>(bytes: &[u8], value: fn([u8; N]) -> T, out: &mut Vec<u32>) -> Result<(), (usize, i128)>
where
    T: Copy + Into<i128>,
    u32: TryFrom<T>,
{
    for (at, &bytes) in bytes.as_chunks().0.iter().enumerate() {
        let value = value(bytes);
        out.push(u32::try_from(value).map_err(|_| (at, value.into()))?);
    }
    Ok(())
}

/// Checks that elements are of a type that [`floats`] converts. The error is the rest of a sentence.
pub(crate) fn check_floats(place: &Place) -> Result<(), String> {
    match place.kind {
        Kind::F16 | Kind::Bf16 | Kind::F32 => Ok(()),
        kind => Err(format!("holds {}, expected f16, bf16 or f32", kind.name())),
    }
}

/// Converts floats to f32, and appends them to `out`.
///
/// # Panics
/// If they are of another type than f16, bf16 or f32.
pub(crate) fn floats(kind: Kind, bytes: &[u8], out: &mut Vec<f32>) {
    match kind {
        Kind::F16 => out.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32())),
        Kind::Bf16 => out.extend(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32())),
        Kind::F32 => out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
        kind => unreachable!("{} are not floats", kind.name()),
    }
}

/// Reads the bytes at a place of a file.
pub(crate) fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}
