//! Mapped documents files: finding and unpacking the blocks of a document.

use super::block::{BLOCK_LIMIT, Block, ENTRY_BYTES, TRAILER_BYTES};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::manifest::DocumentsEntry;
use crate::storage::Storage;
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;

/// All documents files of an index. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct DocumentsFiles {
    files: Arc<[DocumentsFile]>,
    /// Documents in all files.
    pub(super) len: u32,
}

impl DocumentsFiles {
    /// Maps the files of `storage` that `entries` name, in pid order without gaps.
    pub(super) fn open(storage: &dyn Storage, entries: &[DocumentsEntry]) -> Result<(Self, Vec<FramedFile>)> {
        let open = |entry: &DocumentsEntry| {
            let name = IndexFile::new(FileKind::Documents, entry.number);
            let framed = FramedFile::open_named(storage, name, entry.file)?;
            Ok((DocumentsFile::open(&framed, entry)?, framed))
        };
        let (files, framed): (Vec<_>, Vec<_>) =
            entries.iter().map(open).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let len = entries.last().map_or(0, |entry| entry.first_pid + entry.count);
        Ok((Self { files: files.into(), len }, framed))
    }

    /// File that holds passage `pid`.
    pub(super) fn file_of(&self, pid: u32) -> Result<&DocumentsFile> {
        let after = self.files.partition_point(|file| file.first_pid <= pid);
        match after.checked_sub(1) {
            Some(at) if pid < self.len => Ok(&self.files[at]),
            _ => Err(Error::NoSuchPassage { pid, num_passages: self.len }),
        }
    }
}

/// One documents file.
#[derive(Debug)]
pub(super) struct DocumentsFile {
    path: PathBuf,
    pub(super) first_pid: u32,
    count: u32,
    blocks: Bytes,
    pub(super) ids: Bytes,
    pub(super) bodies: Bytes,
}

impl DocumentsFile {
    /// Locates the two directories. Their entries are checked when they are used.
    fn open(framed: &FramedFile, entry: &DocumentsEntry) -> Result<Self> {
        let payload = &framed.payload;
        let bad = |what| Error::Documents { path: framed.path.clone(), at: payload.len() as u64, what };
        let trailer = payload.len().checked_sub(TRAILER_BYTES).ok_or_else(|| bad("too short for its trailer"))?;
        let word = |i: usize| {
            let at = trailer + 4 * i;
            u32::from_le_bytes(payload[at..at + 4].try_into().expect("four bytes")) as usize
        };
        if word(0) != entry.count as usize {
            return Err(bad("not as many documents as the manifest says"));
        }
        let directory = |end: usize, blocks: usize| {
            blocks
                .checked_mul(ENTRY_BYTES)
                .and_then(|bytes| end.checked_sub(bytes))
                .ok_or_else(|| bad("too short for its directories"))
        };
        let bodies = directory(trailer, word(2))?;
        let ids = directory(bodies, word(1))?;
        Ok(Self {
            path: framed.path.clone(),
            first_pid: entry.first_pid,
            count: entry.count,
            blocks: payload.slice(..ids),
            ids: payload.slice(ids..bodies),
            bodies: payload.slice(bodies..trailer),
        })
    }

    /// The error of a corrupt block.
    pub(super) fn bad(&self, block: Block, what: &'static str) -> Error {
        Error::Documents { path: self.path.clone(), at: block.start, what }
    }

    /// Finds the block of `column` that holds document `at`, counted from the file's first document, by binary search.
    pub(super) fn find(&self, column: &Bytes, at: u32) -> Result<Block> {
        let entry = |i: usize| Block::from_bytes(&column[i * ENTRY_BYTES..(i + 1) * ENTRY_BYTES]);
        let (mut low, mut high) = (0, column.len() / ENTRY_BYTES);
        while low < high {
            let middle = (low + high) / 2;
            if entry(middle).first <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let found = low.checked_sub(1).map(entry);
        let fits = |block: &Block| {
            let end = u64::from(block.first) + u64::from(block.count);
            u64::from(at) < end && end <= u64::from(self.count)
        };
        let nowhere = || Error::Documents {
            path: self.path.clone(),
            at: self.blocks.len() as u64,
            what: "no block has this document",
        };
        found.filter(fits).ok_or_else(nowhere)
    }

    /// Unpacks the records of a block.
    pub(super) fn unpack(&self, block: Block) -> Result<Vec<u8>> {
        if block.unpacked_bytes as usize > BLOCK_LIMIT {
            return Err(self.bad(block, "larger than a block can be"));
        }
        let start = usize::try_from(block.start).ok();
        let packed = start.and_then(|start| self.blocks.get(start..start.checked_add(block.bytes as usize)?));
        let packed = packed.ok_or_else(|| self.bad(block, "outside the file"))?;
        let mut unpacked = Vec::new();
        let reserved = unpacked.try_reserve_exact(block.unpacked_bytes as usize);
        reserved.map_err(|_| self.bad(block, "too large for memory"))?;
        let decompress =
            |unpacked: &mut Vec<u8>| zstd::bulk::Decompressor::new()?.decompress_to_buffer(packed, unpacked);
        decompress(&mut unpacked).map_err(|_| self.bad(block, "does not unpack"))?;
        if unpacked.len() != block.unpacked_bytes as usize {
            return Err(self.bad(block, "unpacks to another size"));
        }
        Ok(unpacked)
    }
}
