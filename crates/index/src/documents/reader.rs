//! Reader of documents: blocks to records.

use super::block::Block;
use super::document::Document;
use super::file::DocumentsFile;
use super::read::Documents;
use crate::bits::take_varint;
use crate::error::Result;
use bytes::Bytes;
use std::ops::Range;

/// Reader of documents that keeps the last unpacked block of each column.
///
/// It holds one block of ids and one of bodies, unpacked: at most 4 and 64 KiB, unless a single document is larger.
#[derive(Debug)]
pub struct DocumentsReader {
    documents: Documents,
    ids: Unpacked,
    bodies: Unpacked,
}

/// Fields of a document as they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawDocument<'a> {
    /// Id, in UTF-8.
    pub(crate) id: &'a [u8],
    /// Text, in UTF-8.
    pub(crate) text: &'a [u8],
    /// A JSON object; empty without metadata.
    pub(crate) metadata: &'a [u8],
}

impl DocumentsReader {
    pub(super) fn new(documents: Documents) -> Self {
        Self { documents, ids: Unpacked::default(), bodies: Unpacked::default() }
    }

    /// Id of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its block is corrupt.
    pub fn id(&mut self, pid: u32) -> Result<String> {
        let at = Place::of(&self.documents, pid)?;
        let block = self.ids.seek(&at, &at.file.ids, 1)?;
        let [id] = self.ids.take(at.file, block)?;
        utf8(at.file, block, id)
    }

    /// Text of passage `pid`, without its id and its metadata.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its block is corrupt.
    pub fn text(&mut self, pid: u32) -> Result<String> {
        let at = Place::of(&self.documents, pid)?;
        let block = self.bodies.seek(&at, &at.file.bodies, 2)?;
        let [text, _] = self.bodies.take(at.file, block)?;
        utf8(at.file, block, text)
    }

    /// Document of passage `pid`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its blocks are corrupt.
    pub fn document(&mut self, pid: u32) -> Result<Document> {
        let id = self.id(pid)?;
        let at = Place::of(&self.documents, pid)?;
        let block = self.bodies.seek(&at, &at.file.bodies, 2)?;
        let [text, metadata] = self.bodies.take(at.file, block)?;
        let metadata = match metadata {
            [] => None,
            json => Some(serde_json::from_slice(json).map_err(|_| at.file.bad(block, "metadata is not JSON"))?),
        };
        Ok(Document { id, text: utf8(at.file, block, text)?, metadata })
    }

    /// Document of passage `pid` as it is stored.
    pub(crate) fn raw(&mut self, pid: u32) -> Result<RawDocument<'_>> {
        let at = Place::of(&self.documents, pid)?;
        let block = self.ids.seek(&at, &at.file.ids, 1)?;
        let [id] = self.ids.take(at.file, block)?;
        let block = self.bodies.seek(&at, &at.file.bodies, 2)?;
        let [text, metadata] = self.bodies.take(at.file, block)?;
        Ok(RawDocument { id, text, metadata })
    }

    /// Pid of the passage that has this id, if there is one that is not deleted. As [`Documents::pid`], with the last
    /// unpacked block kept.
    ///
    /// # Errors
    /// [`Error::Documents`](crate::Error::Documents) where a block of ids is corrupt.
    pub fn find(&mut self, id: &str) -> Result<Option<u32>> {
        for pid in self.documents.with_hash_of(id) {
            if self.id(pid)? == id {
                return Ok(Some(pid));
            }
        }
        Ok(None)
    }
}

fn utf8(file: &DocumentsFile, block: Block, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| file.bad(block, "text is not UTF-8"))
}

/// A document's file, and its number in it.
struct Place<'a> {
    part: usize,
    file: &'a DocumentsFile,
    number: u32,
}

impl<'a> Place<'a> {
    fn of(documents: &'a Documents, pid: u32) -> Result<Self> {
        let number = documents.part_of(pid)?;
        let part = &documents.parts()[number];
        Ok(Self { part: number, file: &part.file, number: pid - part.first_pid })
    }
}

/// An unpacked block and a position in it.
#[derive(Debug, Default)]
struct Unpacked {
    bytes: Vec<u8>,
    at: usize,
    /// Document whose record starts at `at`.
    next: u32,
    /// The block, and the number of the part that it belongs to.
    loaded: Option<(usize, Block)>,
}

impl Unpacked {
    /// Moves to the record of a document; every record of the column has `fields` fields.
    fn seek(&mut self, place: &Place<'_>, column: &Bytes, fields: usize) -> Result<Block> {
        let number = place.number;
        let block = match self.loaded {
            Some((part, block)) if part == place.part && block.holds(number) => block,
            _ => self.load(place, place.file.find(column, number)?)?,
        };
        if number < self.next {
            (self.at, self.next) = (0, block.first);
        }
        while self.next < number {
            for _ in 0..fields {
                self.take_field(place.file, block)?;
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

    fn load(&mut self, place: &Place<'_>, block: Block) -> Result<Block> {
        self.loaded = None;
        self.bytes = place.file.unpack(block)?;
        (self.at, self.next) = (0, block.first);
        self.loaded = Some((place.part, block));
        Ok(block)
    }
}
