//! Reader of documents: blocks to records.

use super::block::Block;
use super::document::Document;
use super::file::{DocumentsFile, DocumentsFiles};
use crate::bits::take_varint;
use crate::error::Result;
use bytes::Bytes;
use std::ops::Range;

/// Reader of documents that keeps the last unpacked block of each column.
///
/// It holds one block of ids and one of bodies, unpacked: at most 4 and 64 KiB, unless a single document is larger.
#[derive(Debug)]
pub struct DocumentsReader {
    files: DocumentsFiles,
    ids: Unpacked,
    bodies: Unpacked,
}

impl DocumentsReader {
    pub(super) fn new(files: DocumentsFiles) -> Self {
        Self { files, ids: Unpacked::default(), bodies: Unpacked::default() }
    }

    /// Id of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its block is corrupt.
    pub fn id(&mut self, pid: u32) -> Result<String> {
        let file = self.files.file_of(pid)?;
        let block = self.ids.seek(file, &file.ids, pid, 1)?;
        let [id] = self.ids.take(file, block)?;
        utf8(file, block, id)
    }

    /// Text of passage `pid`, without its id and its metadata.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its block is corrupt.
    pub fn text(&mut self, pid: u32) -> Result<String> {
        let file = self.files.file_of(pid)?;
        let block = self.bodies.seek(file, &file.bodies, pid, 2)?;
        let [text, _] = self.bodies.take(file, block)?;
        utf8(file, block, text)
    }

    /// Document of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its blocks are corrupt.
    pub fn document(&mut self, pid: u32) -> Result<Document> {
        let id = self.id(pid)?;
        let file = self.files.file_of(pid)?;
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

/// An unpacked block and a position in it.
#[derive(Debug, Default)]
struct Unpacked {
    bytes: Vec<u8>,
    at: usize,
    /// First passage of the block.
    first: u32,
    /// Passage whose record starts at `at`.
    next: u32,
    /// End of the block's passages, exclusive; 0 before any block is loaded.
    end: u32,
    block: Option<Block>,
}

impl Unpacked {
    /// Moves to the record of `pid`; every record of the column has `fields` fields.
    fn seek(&mut self, file: &DocumentsFile, column: &Bytes, pid: u32, fields: usize) -> Result<Block> {
        let block = match self.block {
            Some(block) if (self.first..self.end).contains(&pid) => block,
            _ => self.load(file, file.find(column, pid - file.first_pid)?)?,
        };
        if pid < self.next {
            (self.at, self.next) = (0, self.first);
        }
        while self.next < pid {
            for _ in 0..fields {
                self.take_field(file, block)?;
            }
            self.next += 1;
        }
        Ok(block)
    }

    /// Reads the fields of the next record.
    fn take<const FIELDS: usize>(&mut self, file: &DocumentsFile, block: Block) -> Result<[&[u8]; FIELDS]> {
        let mut ranges: [Range<usize>; FIELDS] = std::array::from_fn(|_| 0..0);
        for range in &mut ranges {
            *range = self.take_field(file, block)?;
        }
        self.next += 1;
        Ok(ranges.map(|range| &self.bytes[range]))
    }

    /// Reads the length of the next field and returns its byte range.
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
        self.first = file.first_pid + block.first;
        self.next = self.first;
        self.end = self.first + block.count;
        self.block = Some(block);
        Ok(block)
    }
}
