//! The folder of a foreign index: its files by name, opened for reading only.
//!
//! Names come from this crate or are made of numbers, never from the contents of a file, so that no path leaves the
//! folder. Links are followed, as the programs do that wrote them. A file that is not a regular file is refused.

use crate::{Error, Result};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest JSON file that is read: lengths of 25,000 passages take 100 KB, that is 4 bytes each.
const MAX_JSON_BYTES: u64 = 1 << 31;

/// Folder of an index.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match path.metadata().map_err(Error::io(path))?.is_dir() {
            true => Ok(Self(path.into())),
            false => Err(Error::Unknown { path: path.into(), reason: "is a file, not a folder".into() }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.file(name).is_file()
    }

    /// Reads a JSON file.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.file(name);
        let (file, bytes) = open(&path)?;
        if bytes > MAX_JSON_BYTES {
            return Err(Error::malformed(&path, format!("has {bytes} bytes, expected at most {MAX_JSON_BYTES}")));
        }
        let mut text = Vec::with_capacity(bytes as usize);
        file.take(MAX_JSON_BYTES).read_to_end(&mut text).map_err(Error::io(&path))?;
        serde_json::from_slice(&text).map_err(|error| Error::malformed(&path, format!("is not as expected: {error}")))
    }
}

/// Opens a regular file, and returns its length.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(Error::io(path))?;
    let metadata = file.metadata().map_err(Error::io(path))?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(Error::malformed(path, "is not a regular file")),
    }
}
