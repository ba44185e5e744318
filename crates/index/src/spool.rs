//! Temporary file of embeddings for the passes of a build: `f32` values, written once, then read.
//!
//! The file has no name. The operating system deletes it when the spool is dropped or the process dies, so it never
//! becomes part of an index.

use crate::error::{Error, Result, io_at};
use crate::storage::{Storage, Temporary};
use std::io::{self, BufReader, BufWriter, Read, SeekFrom, Write};
use std::path::PathBuf;

/// Size of the read and write buffers.
const BUFFER_BYTES: usize = 1 << 20;

/// Writer of a temporary file of `f32` values.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    out: BufWriter<Box<dyn Temporary>>,
    len: u64,
}

impl Spool {
    /// Creates the file in `storage`.
    pub(crate) fn create(storage: &dyn Storage) -> Result<Self> {
        let directory = storage.root();
        let file = storage.temporary().map_err(io_at(&directory))?;
        Ok(Self { directory, out: BufWriter::with_capacity(BUFFER_BYTES, file), len: 0 })
    }

    /// Appends values.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        self.out.write_all(bytemuck::cast_slice(values)).map_err(io_at(&self.directory))?;
        self.len += values.len() as u64;
        Ok(())
    }

    /// Number of values pushed.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no value was pushed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends writing and returns a reader of the values, which starts at the first one.
    ///
    /// # Errors
    /// [`Error::Io`] where the last values cannot be written or the file cannot be rewound.
    pub fn into_reader(self) -> Result<SpoolReader> {
        let rewind = || -> io::Result<Box<dyn Temporary>> {
            let mut file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        let file = rewind().map_err(io_at(&self.directory))?;
        Ok(SpoolReader {
            input: BufReader::with_capacity(BUFFER_BYTES, file),
            len: self.len,
            remaining: self.len,
            directory: self.directory,
        })
    }
}

/// Reader of a [`Spool`], in the order of writing unless it is moved.
#[derive(Debug)]
pub struct SpoolReader {
    directory: PathBuf,
    input: BufReader<Box<dyn Temporary>>,
    len: u64,
    remaining: u64,
}

impl SpoolReader {
    /// Moves to a value, by its number in the order of writing: it is read next.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be moved in.
    ///
    /// # Panics
    /// If there are fewer values.
    pub fn seek(&mut self, value: u64) -> Result<()> {
        assert!(value <= self.len, "value {value} of {}", self.len);
        let step = (value as i64 - (self.len - self.remaining) as i64) * size_of::<f32>() as i64;
        self.input.seek_relative(step).map_err(|source| Error::Io { path: self.directory.clone(), source })?;
        self.remaining = self.len - value;
        Ok(())
    }

    /// Number of values from here to the end.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Reads the next `values.len()` values, bit for bit as they were pushed.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    ///
    /// # Panics
    /// If `values` is longer than [`SpoolReader::remaining`].
    pub fn read(&mut self, values: &mut [f32]) -> Result<()> {
        assert!(values.len() as u64 <= self.remaining, "{} of {} values left", values.len(), self.remaining);
        let at = |source| Error::Io { path: self.directory.clone(), source };
        self.input.read_exact(bytemuck::cast_slice_mut(values)).map_err(at)?;
        self.remaining -= values.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Directory;

    #[test]
    fn bits_come_back_in_order_and_no_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(&Directory::new(directory.path())).unwrap();
        let values: Vec<f32> = (0..300_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761))).collect();
        for chunk in values.chunks(777) {
            spool.push(chunk).unwrap();
        }
        assert_eq!(spool.len(), 300_000);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut reader = spool.into_reader().unwrap();
        let mut back = vec![0f32; values.len()];
        for chunk in back.chunks_mut(1001) {
            reader.read(chunk).unwrap();
        }
        assert_eq!(reader.remaining(), 0);
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert!(bits(&back) == bits(&values));
        for (at, len) in [(299_990, 10), (5, 3), (8, 1), (262_140, 8), (0, 1)] {
            reader.seek(at as u64).unwrap();
            let mut part = vec![0.0; len];
            reader.read(&mut part).unwrap();
            assert_eq!(bits(&part), bits(&values[at..at + len]));
        }
    }
}
