//! The documents of an index: one of them, a run of them, or the one that has an id.

use super::document::Document;
use super::file::DocumentsFiles;
use super::ids::IdTable;
use super::reader::DocumentsReader;
use crate::error::Result;
use crate::framed_file::FramedFile;
use crate::manifest::DocumentsEntry;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The documents of an index, or of one that is being built. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    files: DocumentsFiles,
    /// Made when the first id is looked up, for all clones.
    table: Arc<Mutex<Option<Arc<IdTable>>>>,
}

impl Documents {
    /// Maps the files of `directory` that `entries` name; entries follow each other.
    pub(crate) fn open(directory: &Path, entries: &[DocumentsEntry]) -> Result<(Self, Vec<FramedFile>)> {
        let (files, frames) = DocumentsFiles::open(directory, entries)?;
        Ok((Self { files, table: Arc::default() }, frames))
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.files.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.len == 0
    }

    /// The document of passage `pid`. It unpacks a block of each column; for many documents, use
    /// [`Documents::reader`].
    pub fn get(&self, pid: u32) -> Result<Document> {
        self.reader().document(pid)
    }

    /// The id of passage `pid`, without unpacking its text.
    pub fn id(&self, pid: u32) -> Result<String> {
        self.reader().id(pid)
    }

    /// The passage whose document has this id, if there is one.
    ///
    /// The first call reads all ids, on all threads, and keeps 12 bytes of memory for each passage, shared by all clones;
    /// the others unpack a block of ids or two.
    ///
    /// # Errors
    /// Where a block of ids cannot be read.
    pub fn pid(&self, id: &str) -> Result<Option<u32>> {
        // Whoever comes while the table is being made waits for it, and does not make another.
        let table = {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            match &*table {
                Some(table) => Arc::clone(table),
                None => Arc::clone(table.insert(Arc::new(IdTable::of(&self.files)?))),
            }
        };
        table.find(id, &mut self.reader())
    }

    /// A reader that keeps the block it has unpacked: as cheap as it gets where passages are asked for in order, and no
    /// dearer than [`Documents::get`] where they are not.
    pub fn reader(&self) -> DocumentsReader {
        DocumentsReader::new(self.files.clone())
    }

    /// The documents of a run of passages, each block unpacked once. Passages beyond the last are left out.
    pub fn iter(&self, pids: Range<u32>) -> DocumentIter {
        DocumentIter { pids: pids.start..pids.end.min(self.files.len), reader: self.reader() }
    }
}

/// Documents of a run of passages, in order.
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
