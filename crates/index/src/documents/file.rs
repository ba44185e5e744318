//! A mapped documents file: finding and unpacking the blocks of a document.

use super::block::{BLOCK_LIMIT, Block, ENTRY_BYTES, TRAILER_BYTES};
use crate::error::{Error, Result};
use crate::framed_file::FramedFile;
use bytes::Bytes;
use std::cell::RefCell;
use std::path::PathBuf;
use zstd::bulk::Decompressor;

/// The documents file of a segment. Documents are numbered within it.
#[derive(Debug)]
pub(crate) struct DocumentsFile {
    path: PathBuf,
    count: u32,
    blocks: Bytes,
    pub(super) ids: Bytes,
    pub(super) bodies: Bytes,
}

impl DocumentsFile {
    /// Locates the two directories of a file of `count` documents. Their entries are checked when they are used.
    pub(crate) fn open(framed: &FramedFile, count: u32) -> Result<Self> {
        let payload = &framed.payload;
        let bad = |what| Error::Documents { path: framed.path.clone(), at: payload.len() as u64, what };
        let trailer = payload.len().checked_sub(TRAILER_BYTES).ok_or_else(|| bad("too short for its trailer"))?;
        let word = |i: usize| {
            let at = trailer + 4 * i;
            u32::from_le_bytes(payload[at..at + 4].try_into().expect("four bytes")) as usize
        };
        if word(0) != count as usize {
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
            count,
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
        let entries = column.as_chunks::<ENTRY_BYTES>().0;
        let after = entries.partition_point(|entry| Block::from_bytes(entry).first <= at);
        let found = after.checked_sub(1).map(|last| Block::from_bytes(&entries[last]));
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
        decompress(packed, &mut unpacked).map_err(|_| self.bad(block, "does not unpack"))?;
        if unpacked.len() != block.unpacked_bytes as usize {
            return Err(self.bad(block, "unpacks to another size"));
        }
        Ok(unpacked)
    }
}

/// Unpacks a zstd frame into the capacity of `unpacked`. Each thread keeps its state (160 KB): to allocate one takes
/// longer than to unpack a block of ids.
fn decompress(packed: &[u8], unpacked: &mut Vec<u8>) -> std::io::Result<usize> {
    thread_local! { static STATE: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) } }
    STATE.with_borrow_mut(|state| {
        let state = match state {
            Some(state) => state,
            None => state.insert(Decompressor::new()?),
        };
        state.decompress_to_buffer(packed, unpacked)
    })
}
