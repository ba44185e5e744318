//! Blocks to records, with the block of each column that was unpacked last.

use super::block::Block;
use super::document::Document;
use super::file::{DocumentsFile, DocumentsFiles};
use crate::bits::take_varint;
use crate::error::Result;
use bytes::Bytes;
use std::ops::Range;

/// Documents of an index, in any order; a block is unpacked only when another one was before.
///
/// It holds one block of ids and one of bodies, 4 and 64 KiB unless a document is larger.
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

    /// The id of passage `pid`.
    ///
    /// # Errors
    /// Where there is no such passage, or its block cannot be read.
    pub fn id(&mut self, pid: u32) -> Result<String> {
        let file = self.files.file_of(pid)?;
        let block = self.ids.seek(file, &file.ids, pid, 1)?;
        let [id] = self.ids.take(file, block)?;
        utf8(file, block, id)
    }

    /// The text of passage `pid`, without its id and its metadata.
    ///
    /// # Errors
    /// Where there is no such passage, or its block cannot be read.
    pub fn text(&mut self, pid: u32) -> Result<String> {
        let file = self.files.file_of(pid)?;
        let block = self.bodies.seek(file, &file.bodies, pid, 2)?;
        let [text, _] = self.bodies.take(file, block)?;
        utf8(file, block, text)
    }

    /// The document of passage `pid`.
    ///
    /// # Errors
    /// Where there is no such passage, or its blocks cannot be read.
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

/// An unpacked block and how far it was read.
#[derive(Debug, Default)]
struct Unpacked {
    bytes: Vec<u8>,
    at: usize,
    /// The block's first passage.
    first: u32,
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
        self.first = file.first_pid + block.first;
        self.next = self.first;
        self.end = self.first + block.count;
        self.block = Some(block);
        Ok(block)
    }
}
