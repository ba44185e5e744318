//! Zip archives whose files are stored as they are, so that they are read in place.
//!
//! **In:** an archive of torch or NumPy. **Out:** where the bytes of a file in it are. A compressed file is refused, so
//! that no archive can unpack to more bytes than it has, and names lead to no path.

use crate::array::read_at;
use crate::folder;
use crate::{Error, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// An archive that is read.
pub(crate) struct Archive {
    path: PathBuf,
    file: File,
    length: u64,
    zip: ZipArchive<BufReader<File>>,
    /// Way out of a compressed file.
    stored: &'static str,
}

impl Archive {
    /// Opens an archive of `kind`, such as "a file of torch.save". `stored` says how to write one without compression.
    pub(crate) fn open(path: &Path, kind: &str, stored: &'static str) -> Result<Self> {
        let (file, length) = folder::open(path)?;
        let zip = ZipArchive::new(BufReader::new(folder::open(path)?.0))
            .map_err(|error| Error::malformed(path, format!("is not {kind}: {error}")))?;
        Ok(Self { path: path.into(), file, length, zip, stored })
    }

    /// Names of the files; those that are not UTF-8 are left out.
    pub(crate) fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.zip.file_names().filter_map(Result::ok)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// Returns the place of a file's bytes, all of which are in the archive.
    pub(crate) fn place(&mut self, name: &str) -> Result<Range<u64>> {
        let bad = |reason: String| Error::malformed(&self.path, reason);
        let at = self.zip.index_for_name(name).ok_or_else(|| bad(format!("is a zip archive without {name:?}")))?;
        let file = self.zip.by_index_raw(at).map_err(|error| bad(format!("has a damaged {name:?}: {error}")))?;
        if file.compression() != CompressionMethod::Stored || file.size() != file.compressed_size() {
            return Err(bad(format!("has a compressed {name:?}; {}", self.stored)));
        }
        let place = file.data_start().and_then(|start| Some(start..start.checked_add(file.size())?));
        match place.filter(|place| place.end <= self.length) {
            Some(place) => Ok(place),
            None => Err(bad(format!("has a damaged {name:?}: it goes beyond the end of the archive"))),
        }
    }

    /// Reads a small file.
    pub(crate) fn read(&mut self, name: &str, most: u64) -> Result<Vec<u8>> {
        let place = self.place(name)?;
        let length = place.end - place.start;
        if length > most {
            let reason = format!("has {length} bytes in {name:?}, expected at most {most}");
            return Err(Error::malformed(&self.path, reason));
        }
        let mut bytes = vec![0u8; length as usize];
        read_at(&mut self.file, place.start, &mut bytes).map_err(Error::io(&self.path))?;
        Ok(bytes)
    }
}
