//! Frame of every file of an index: a header of 64 bytes, then the payload.
//!
//! | bytes | type | contents |
//! |---|---|---|
//! | 0..8 | `[u8; 8]` | magic, `SELVEDGE` |
//! | 8..12 | u32 | format version, 2 to 4 |
//! | 12..16 | u32 | kind of the file ([`FileKind::number`](crate::FileKind::number)) |
//! | 16..20 | u32 | number of the file among its kind |
//! | 20..24 | u32 | CRC-32 of the payload |
//! | 24..32 | u64 | bytes of the payload |
//! | 32..60 | | zero |
//! | 60..64 | u32 | CRC-32 of the header's first 60 bytes |
//!
//! Numbers are little-endian. The payload extends to the end of the file. Files are mapped from their start,
//! so the payload is aligned to 64 bytes in memory.

use crate::error::{Error, Result, io_at};
use crate::files::IndexFile;
use crate::storage::{Storage, StoredFile};
use bytes::Bytes;
use rayon::prelude::*;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// First bytes of every index file.
pub const MAGIC: [u8; 8] = *b"SELVEDGE";

/// Format version that is written. Version 2 added trellis rows and weight indices of any width, version 3 generations:
/// numbered manifests and codecs, documents and ids per segment, deleted passages, and lists without their empty heads.
/// Version 4 added columns of metadata.
pub const FORMAT_VERSION: u32 = 4;

/// Oldest format version of a file that is read. An index whose manifest has it is converted by
/// [`upgrade`](crate::upgrade()), which keeps most of its files as they are.
pub(crate) const OLD_VERSION: u32 = 2;

/// Size of a header.
pub const HEADER_BYTES: usize = 64;

/// Size of the write buffer: large, so that the disk sees few writes.
const BUFFER_BYTES: usize = 1 << 18;

/// Bytes per parallel checksum task: large, so that combining the checksums costs little in comparison.
const CHECKSUM_CHUNK: usize = 8 << 20;

/// Length and checksum of a file, as the manifest records them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileEntry {
    /// Bytes of the whole file.
    pub bytes: u64,
    /// CRC-32 of the payload.
    pub crc32: u32,
}

/// CRC-32 of `bytes`, computed in parallel.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let hash = |chunk: &[u8]| {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(chunk);
        hasher
    };
    if bytes.len() <= CHECKSUM_CHUNK {
        return hash(bytes).finalize();
    }
    let combine = |mut left: crc32fast::Hasher, right: crc32fast::Hasher| {
        left.combine(&right);
        left
    };
    bytes.par_chunks(CHECKSUM_CHUNK).map(hash).reduce(crc32fast::Hasher::new, combine).finalize()
}

/// Encodes the header of `file` for a payload of `payload_bytes`.
pub(crate) fn header(file: IndexFile, payload_bytes: u64, crc32: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&file.kind.number().to_le_bytes());
    header[16..20].copy_from_slice(&file.number.to_le_bytes());
    header[20..24].copy_from_slice(&crc32.to_le_bytes());
    header[24..32].copy_from_slice(&payload_bytes.to_le_bytes());
    let own = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&own.to_le_bytes());
    header
}

/// Writer of one file; the header is written last.
pub(crate) struct FramedFileWriter {
    file: IndexFile,
    path: PathBuf,
    out: BufWriter<Box<dyn StoredFile>>,
    hasher: crc32fast::Hasher,
    payload_bytes: u64,
}

impl FramedFileWriter {
    /// Creates `file` in `storage`, where it must not exist.
    pub(crate) fn create(storage: &dyn Storage, file: IndexFile) -> Result<Self> {
        let path = storage.path(&file.name());
        let handle = storage.create(&file.name()).map_err(io_at(&path))?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, handle);
        out.write_all(&[0; HEADER_BYTES]).map_err(io_at(&path))?;
        Ok(Self { file, path, out, hasher: crc32fast::Hasher::new(), payload_bytes: 0 })
    }

    /// Appends to the payload.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(io_at(&self.path))?;
        self.hasher.update(bytes);
        self.payload_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of the payload so far.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Writes the header and syncs the file.
    pub(crate) fn finish(self) -> Result<FileEntry> {
        self.close(true)
    }

    /// Writes the header of a file that need not survive the process.
    pub(crate) fn finish_temporary(self) -> Result<FileEntry> {
        self.close(false)
    }

    fn close(self, is_synced: bool) -> Result<FileEntry> {
        let crc32 = self.hasher.finalize();
        let close = || -> io::Result<()> {
            let mut handle = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
            handle.write_at(0, &header(self.file, self.payload_bytes, crc32))?;
            if is_synced { handle.close() } else { Ok(()) }
        };
        close().map_err(io_at(&self.path))?;
        Ok(FileEntry { bytes: HEADER_BYTES as u64 + self.payload_bytes, crc32 })
    }
}

/// A mapped file with a valid header and the right length. [`FramedFile::check`] checks the payload.
#[derive(Clone, Debug)]
pub(crate) struct FramedFile {
    /// Path of the file.
    pub(crate) path: PathBuf,
    /// Bytes after the header.
    pub(crate) payload: Bytes,
    /// Length and checksum that the header states.
    pub(crate) entry: FileEntry,
    /// Format version of the payload.
    pub(crate) version: u32,
}

impl FramedFile {
    /// Maps `file` of `storage` and checks its header and its length.
    pub(crate) fn open(storage: &dyn Storage, file: IndexFile) -> Result<Self> {
        Self::open_as(storage, file, &file.name())
    }

    /// Maps `file`, which has this name in `storage`, and checks its header and its length.
    pub(crate) fn open_as(storage: &dyn Storage, file: IndexFile, name: &str) -> Result<Self> {
        let path = storage.path(name);
        let mapped = storage.map(name).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::MissingFile { path: path.clone() },
            _ => Error::Io { path: path.clone(), source },
        })?;
        let (version, entry) = check_header(&path, file, &mapped)?;
        Ok(Self { path, payload: mapped.slice(HEADER_BYTES..), entry, version })
    }

    /// Maps `file`, checks its header and its length, and that it is the one that the manifest names.
    pub(crate) fn open_named(storage: &dyn Storage, file: IndexFile, named: FileEntry) -> Result<Self> {
        Self::open(storage, file)?.check_named(named)
    }

    /// Checks that this is the file that the manifest names.
    pub(crate) fn check_named(self, named: FileEntry) -> Result<Self> {
        if self.entry == named {
            return Ok(self);
        }
        Err(Error::Replaced {
            path: self.path,
            expected_bytes: named.bytes,
            found_bytes: self.entry.bytes,
            expected: named.crc32,
            found: self.entry.crc32,
        })
    }

    /// Checks the payload against its checksum.
    pub(crate) fn check(&self) -> Result<()> {
        let found = checksum(&self.payload);
        if found == self.entry.crc32 {
            return Ok(());
        }
        Err(Error::Checksum { path: self.path.clone(), expected: self.entry.crc32, found })
    }
}

/// Checks the header of a mapped file against its name and its length. Returns its version, length and checksum.
fn check_header(path: &Path, file: IndexFile, mapped: &[u8]) -> Result<(u32, FileEntry)> {
    let path = || path.to_owned();
    let found_bytes = mapped.len() as u64;
    let word = |at: usize| u32::from_le_bytes(mapped[at..at + 4].try_into().expect("four bytes"));
    if mapped.len() < HEADER_BYTES {
        return Err(Error::Truncated { path: path(), expected_bytes: HEADER_BYTES as u64, found_bytes });
    }
    if mapped[..8] != MAGIC {
        return Err(Error::BadMagic { path: path(), found: mapped[..8].try_into().expect("eight bytes") });
    }
    // First, so that a damaged version is not taken for a later one: every version has its checksum there.
    let found = crc32fast::hash(&mapped[..60]);
    if word(60) != found {
        return Err(Error::HeaderChecksum { path: path(), expected: word(60), found });
    }
    if !(OLD_VERSION..=FORMAT_VERSION).contains(&word(8)) {
        return Err(Error::FormatVersion { path: path(), found: word(8), supported: FORMAT_VERSION });
    }
    if word(12) != file.kind.number() {
        return Err(Error::WrongKind { path: path(), expected: file.kind, found: word(12) });
    }
    if word(16) != file.number {
        return Err(Error::WrongNumber { path: path(), expected: file.number, found: word(16) });
    }
    let payload_bytes = u64::from_le_bytes(mapped[24..32].try_into().expect("eight bytes"));
    let expected_bytes = payload_bytes.saturating_add(HEADER_BYTES as u64);
    match found_bytes.cmp(&expected_bytes) {
        std::cmp::Ordering::Less => Err(Error::Truncated { path: path(), expected_bytes, found_bytes }),
        std::cmp::Ordering::Greater => Err(Error::TrailingBytes { path: path(), expected_bytes, found_bytes }),
        std::cmp::Ordering::Equal => Ok((word(8), FileEntry { bytes: found_bytes, crc32: word(20) })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileKind;

    #[test]
    fn header_bytes_are_frozen() {
        let file = IndexFile::new(FileKind::Codes, 7);
        let expected = "53454c5645444745 04000000 05000000 07000000 efbeadde 0807060504030201 \
            00000000000000000000000000000000000000000000000000000000 ";
        let found = header(file, 0x0102_0304_0506_0708, 0xdead_beef);
        let hex: String = found.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex[..120], expected.replace(' ', ""));
        assert_eq!(found[60..], crc32fast::hash(&found[..60]).to_le_bytes());
    }

    #[test]
    fn checksum_by_chunks_is_the_checksum() {
        for len in [0, 1, CHECKSUM_CHUNK, CHECKSUM_CHUNK + 1, 3 * CHECKSUM_CHUNK + 5] {
            let bytes: Vec<u8> = (0..len).map(|i| (i / 8 * 31) as u8).collect();
            assert_eq!(checksum(&bytes), crc32fast::hash(&bytes), "{len}");
        }
    }
}
