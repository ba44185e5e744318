//! Documents files to documents.

use super::{Block, Document, ENTRY_BYTES, TRAILER_BYTES};
use crate::bits::take_varint;
use crate::frame::Frame;
use crate::manifest::DocumentsEntry;
use crate::{Error, FileKind, IndexFile, Result};
use bytes::Bytes;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The documents of an index, or of one that is being built. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    files: Arc<[DocumentsFile]>,
    len: u32,
}

impl Documents {
    /// Maps the files of `directory` that `entries` name; entries follow each other.
    pub(crate) fn open(directory: &Path, entries: &[DocumentsEntry]) -> Result<(Self, Vec<Frame>)> {
        let open = |entry: &DocumentsEntry| {
            let frame = Frame::open_named(directory, IndexFile::new(FileKind::Documents, entry.number), entry.file)?;
            Ok((DocumentsFile::open(&frame, entry)?, frame))
        };
        let (files, frames): (Vec<_>, Vec<_>) =
            entries.iter().map(open).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let len = entries.last().map_or(0, |entry| entry.first_pid + entry.count);
        Ok((Self { files: files.into(), len }, frames))
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The document of passage `pid`.
    pub fn get(&self, pid: u32) -> Result<Document> {
        self.cursor().document(pid)
    }

    /// The id of passage `pid`, without unpacking its text.
    pub fn id(&self, pid: u32) -> Result<String> {
        self.cursor().id(pid)
    }

    /// The documents of a run of passages, each block unpacked once. Passages beyond the last are left out.
    pub fn iter(&self, pids: Range<u32>) -> DocumentIter {
        DocumentIter { pids: pids.start..pids.end.min(self.len), cursor: self.cursor() }
    }

    fn cursor(&self) -> Cursor {
        Cursor { documents: self.clone(), ids: Unpacked::default(), bodies: Unpacked::default() }
    }

    /// The file that covers `pid`.
    fn file_of(&self, pid: u32) -> Result<&DocumentsFile> {
        let after = self.files.partition_point(|file| file.first_pid <= pid);
        match after.checked_sub(1) {
            Some(at) if pid < self.len => Ok(&self.files[at]),
            _ => Err(Error::NoSuchPassage { pid, num_passages: self.len }),
        }
    }
}

/// Documents of a run of passages, in order.
#[derive(Debug)]
pub struct DocumentIter {
    pids: Range<u32>,
    cursor: Cursor,
}

impl Iterator for DocumentIter {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        let pid = self.pids.next()?;
        Some(self.cursor.document(pid))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.pids.size_hint()
    }
}

/// One block of each column, unpacked.
#[derive(Debug)]
struct Cursor {
    documents: Documents,
    ids: Unpacked,
    bodies: Unpacked,
}

impl Cursor {
    fn id(&mut self, pid: u32) -> Result<String> {
        let file = self.documents.file_of(pid)?;
        let block = self.ids.seek(file, &file.ids, pid, 1)?;
        let [id] = self.ids.take(file, block)?;
        utf8(file, block, id)
    }

    fn document(&mut self, pid: u32) -> Result<Document> {
        let id = self.id(pid)?;
        let file = self.documents.file_of(pid)?;
        let block = self.bodies.seek(file, &file.bodies, pid, 2)?;
        let [text, metadata] = self.bodies.take(file, block)?;
        let metadata = match metadata {
            [] => None,
            json => Some(serde_json::from_slice(json).map_err(|_| file.bad(block, "metadata is not JSON"))?),
        };
        Ok(Document { id, text: utf8(file, block, text)?, metadata })
    }
}

fn utf8(file: &DocumentsFile, block: Block, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| file.bad(block, "text is not UTF-8"))
}

/// An unpacked block and how far it was read.
#[derive(Debug, Default)]
struct Unpacked {
    bytes: Vec<u8>,
    at: usize,
    /// The passage whose record comes next.
    next: u32,
    /// The passage after the block's last; 0 before the first block.
    end: u32,
    block: Option<Block>,
}

impl Unpacked {
    /// Goes to the record of `pid`, which has `fields` fields like those before it.
    fn seek(&mut self, file: &DocumentsFile, column: &Bytes, pid: u32, fields: usize) -> Result<Block> {
        let block = match self.block {
            Some(block) if (self.next..self.end).contains(&pid) => block,
            _ => self.load(file, file.find(column, pid - file.first_pid)?)?,
        };
        while self.next < pid {
            for _ in 0..fields {
                self.take_field(file, block)?;
            }
            self.next += 1;
        }
        Ok(block)
    }

    /// The fields of the record that comes next.
    fn take<const FIELDS: usize>(&mut self, file: &DocumentsFile, block: Block) -> Result<[&[u8]; FIELDS]> {
        let mut ranges: [Range<usize>; FIELDS] = std::array::from_fn(|_| 0..0);
        for range in &mut ranges {
            *range = self.take_field(file, block)?;
        }
        self.next += 1;
        Ok(ranges.map(|range| &self.bytes[range]))
    }

    /// Where the next field lies.
    fn take_field(&mut self, file: &DocumentsFile, block: Block) -> Result<Range<usize>> {
        let mut rest = &self.bytes[self.at..];
        let len = take_varint(&mut rest).and_then(|len| usize::try_from(len).ok()).filter(|&len| len <= rest.len());
        let len = len.ok_or_else(|| file.bad(block, "a record ends too early"))?;
        let start = self.bytes.len() - rest.len();
        self.at = start + len;
        Ok(start..start + len)
    }

    fn load(&mut self, file: &DocumentsFile, block: Block) -> Result<Block> {
        self.block = None;
        self.bytes = file.unpack(block)?;
        self.at = 0;
        self.next = file.first_pid + block.first;
        self.end = self.next + block.count;
        self.block = Some(block);
        Ok(block)
    }
}

/// One documents file.
#[derive(Debug)]
pub(crate) struct DocumentsFile {
    path: PathBuf,
    first_pid: u32,
    count: u32,
    blocks: Bytes,
    ids: Bytes,
    bodies: Bytes,
}

impl DocumentsFile {
    /// Finds the directories; what they hold is checked when it is used.
    fn open(frame: &Frame, entry: &DocumentsEntry) -> Result<Self> {
        let payload = &frame.payload;
        let bad = |what| Error::Documents { path: frame.path.clone(), at: payload.len() as u64, what };
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
            path: frame.path.clone(),
            first_pid: entry.first_pid,
            count: entry.count,
            blocks: payload.slice(..ids),
            ids: payload.slice(ids..bodies),
            bodies: payload.slice(bodies..trailer),
        })
    }

    fn bad(&self, block: Block, what: &'static str) -> Error {
        Error::Documents { path: self.path.clone(), at: block.start, what }
    }

    /// The block of `column` that has document `at` of this file.
    fn find(&self, column: &Bytes, at: u32) -> Result<Block> {
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

    /// A block's records.
    fn unpack(&self, block: Block) -> Result<Vec<u8>> {
        let start = usize::try_from(block.start).ok();
        let packed = start.and_then(|start| self.blocks.get(start..start.checked_add(block.bytes as usize)?));
        let packed = packed.ok_or_else(|| self.bad(block, "outside the file"))?;
        let mut unpacked = Vec::new();
        let room = unpacked.try_reserve_exact(block.unpacked_bytes as usize);
        room.map_err(|_| self.bad(block, "too large for memory"))?;
        let decompress =
            |unpacked: &mut Vec<u8>| zstd::bulk::Decompressor::new()?.decompress_to_buffer(packed, unpacked);
        decompress(&mut unpacked).map_err(|_| self.bad(block, "does not unpack"))?;
        if unpacked.len() != block.unpacked_bytes as usize {
            return Err(self.bad(block, "unpacks to another size"));
        }
        Ok(unpacked)
    }
}
