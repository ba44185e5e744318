//! Lookup of documents: by pid, by id, or a run of them.

use super::document::Document;
use super::file::DocumentsFile;
use super::ids::{IdTable, hash_of};
use super::reader::DocumentsReader;
use crate::deleted::Deleted;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Documents of an index, or of passages that a writer adds. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    parts: Arc<[DocumentsPart]>,
}

/// Documents of one segment.
#[derive(Clone, Debug)]
pub(crate) struct DocumentsPart {
    pub(crate) first_pid: u32,
    pub(crate) count: u32,
    pub(crate) file: Arc<DocumentsFile>,
    /// Empty for documents that are not in an index yet.
    pub(crate) ids: IdTable,
    pub(crate) deleted: Deleted,
}

impl Documents {
    /// Joins the documents of segments, which are in pid order without gaps.
    pub(crate) fn new(parts: Vec<DocumentsPart>) -> Self {
        Self { parts: parts.into() }
    }

    /// Documents of each segment.
    pub(crate) fn parts(&self) -> &[DocumentsPart] {
        &self.parts
    }

    /// Number of documents; deleted passages have theirs.
    pub fn len(&self) -> usize {
        self.parts.last().map_or(0, |part| part.first_pid as usize + part.count as usize)
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Document of passage `pid`. Unpacks one block of each column; for many documents, use [`Documents::reader`].
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] where `pid` is out of range, [`Error::Documents`] where its blocks are corrupt.
    pub fn get(&self, pid: u32) -> Result<Document> {
        self.reader().document(pid)
    }

    /// Id of passage `pid`, without unpacking its text.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] where `pid` is out of range, [`Error::Documents`] where its block is corrupt.
    pub fn id(&self, pid: u32) -> Result<String> {
        self.reader().id(pid)
    }

    /// Pid of the passage whose document has this id, if there is one that is not deleted. Searches one table per
    /// segment, and unpacks one block of ids per passage whose id has the same hash of 32 bits.
    ///
    /// # Errors
    /// [`Error::Documents`] where a block of ids is corrupt.
    pub fn pid(&self, id: &str) -> Result<Option<u32>> {
        self.reader().find(id)
    }

    /// Reader that keeps the last unpacked block of each column. Passages read in ascending order unpack each block
    /// once. In any other order a read costs no more than [`Documents::get`].
    pub fn reader(&self) -> DocumentsReader {
        DocumentsReader::new(self.clone())
    }

    /// Documents of a run of passages, each block unpacked once. Passages that are out of range are skipped.
    pub fn iter(&self, pids: Range<u32>) -> DocumentIter {
        DocumentIter { pids: pids.start..pids.end.min(self.len() as u32), reader: self.reader() }
    }

    /// Number of the part that holds passage `pid`.
    pub(super) fn part_of(&self, pid: u32) -> Result<usize> {
        let len = self.len() as u32;
        match self.parts.partition_point(|part| part.first_pid <= pid).checked_sub(1) {
            Some(at) if pid < len => Ok(at),
            _ => Err(Error::NoSuchPassage { pid, num_passages: len }),
        }
    }

    /// Passages that are not deleted and may have this id, by its hash.
    pub(super) fn with_hash_of(&self, id: &str) -> Vec<u32> {
        let hash = hash_of(id.as_bytes());
        let alive = |part: &DocumentsPart| {
            let found = part.ids.find(hash).filter(|&pid| pid < part.count && !part.deleted.contains(pid));
            found.map(|pid| part.first_pid + pid).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(alive).collect()
    }
}

/// Iterator over the documents of a run of passages, in pid order. An item is [`Error::Documents`] where its blocks are
/// corrupt.
#[derive(Debug)]
pub struct DocumentIter {
    pids: Range<u32>,
    reader: DocumentsReader,
}

impl Iterator for DocumentIter {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        let pid = self.pids.next()?;
        Some(self.reader.document(pid))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.pids.size_hint()
    }
}
