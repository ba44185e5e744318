//! Files of `torch.save`: zip archives with a pickle that describes tensors, and their storages.
//!
//! **In:** a file. **Out:** its tensors as [`Array`]s, in the order of the pickle. Storages are stored without
//! compression by torch, so they are read in place; a compressed one is refused, so that no archive can unpack to more
//! bytes than it has. Files of torch before 1.6, which are bare pickles, are refused by name.

use crate::archive::Archive;
use crate::array::{Array, Place};
use crate::folder;
use crate::pickle::{self, MAX_PICKLE_BYTES, Tensor, Value};
use crate::{Error, Result};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// Opens the tensors of a file: one tensor, or a tuple or list of them.
pub(crate) fn open(path: &Path) -> Result<Vec<Array>> {
    let mut archive = Storages::open(path)?;
    let bytes = archive.read("data.pkl", MAX_PICKLE_BYTES)?;
    if archive.has("byteorder") && archive.read("byteorder", 16)? != b"little" {
        let reason = "save it on a little-endian machine";
        return Err(Error::Unsupported { path: path.into(), found: "a big-endian file of torch".into(), reason });
    }
    let root = pickle::read(&bytes).map_err(|reason| Error::malformed(path, reason))?;
    let tensors: Vec<&Value> = match &root {
        Value::Sequence(_, items) => items.iter().collect(),
        value => vec![value],
    };
    let tensor = |value: &Value| match value {
        Value::Tensor(tensor) => archive.array(tensor),
        _ => Err(Error::malformed(path, "holds a value that is no tensor")),
    };
    tensors.into_iter().map(tensor).collect()
}

/// Opens a file of one tensor.
pub(crate) fn open_one(path: &Path) -> Result<Array> {
    let mut tensors = open(path)?;
    match (tensors.pop(), tensors.is_empty()) {
        (Some(tensor), true) => Ok(tensor),
        (last, _) => {
            let found = tensors.len() as u64 + u64::from(last.is_some());
            Err(Error::Count { path: path.into(), of: "tensors", expected: 1, found })
        }
    }
}

struct Storages<'a> {
    path: &'a Path,
    archive: Archive,
    /// The folder that all files of the archive are in, with its slash.
    folder: String,
}

impl<'a> Storages<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let (mut file, _) = folder::open(path)?;
        let mut start = [0u8; 2];
        let is_pickle = file.read_exact(&mut start).is_ok() && start[0] == 0x80;
        if is_pickle {
            let reason = "open it with torch 1.6 or later and save it again with torch.save";
            let found = "the format of torch before 1.6".into();
            return Err(Error::Unsupported { path: path.into(), found, reason });
        }
        let archive = Archive::open(path, "a file of torch.save", "torch.save stores files as they are")?;
        let folder = archive.names().find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned));
        let folder = folder.ok_or_else(|| Error::malformed(path, "is a zip archive without data.pkl"))?;
        Ok(Self { path, archive, folder })
    }

    fn has(&self, name: &str) -> bool {
        self.archive.has(&format!("{}{name}", self.folder))
    }

    /// Reads a small file.
    fn read(&mut self, name: &str, most: u64) -> Result<Vec<u8>> {
        self.archive.read(&format!("{}{name}", self.folder), most)
    }

    fn array(&mut self, tensor: &Tensor) -> Result<Array> {
        let Tensor { kind, storage, offset, shape, strides } = tensor;
        let Range { start, end } = self.archive.place(&format!("{}data/{storage}", self.folder))?;
        let mut expected = 1u64;
        let is_contiguous = strides.len() == shape.len()
            && shape.iter().zip(strides).rev().all(|(&size, &stride)| {
                let fits = size <= 1 || stride == expected;
                expected = expected.saturating_mul(size);
                fits
            });
        if !is_contiguous && !shape.contains(&0) {
            let reason = format!("has a tensor of shape {shape:?} and strides {strides:?}, which is not contiguous");
            return Err(Error::malformed(self.path, reason));
        }
        let first = offset.checked_mul(kind.bytes()).and_then(|bytes| bytes.checked_add(start));
        let first = first.ok_or_else(|| Error::malformed(self.path, format!("has a tensor at element {offset}")))?;
        let file = folder::open(self.path)?.0;
        Array::new(self.path, file, Place { kind: *kind, shape: shape.clone(), start: first }, end)
    }
}
