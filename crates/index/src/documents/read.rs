//! Lookup of documents: by pid, by id, or a run of them.

use super::document::Document;
use super::file::DocumentsFiles;
use super::ids::IdTable;
use super::reader::DocumentsReader;
use crate::error::Result;
use crate::framed_file::FramedFile;
use crate::manifest::DocumentsEntry;
use crate::storage::Storage;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Documents of an index, or of one that is being built. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    files: DocumentsFiles,
    /// Built by the first lookup of an id, shared by all clones.
    table: Arc<Mutex<Option<Arc<IdTable>>>>,
}

impl Documents {
    /// Maps the files of `storage` that `entries` name, in pid order without gaps.
    pub(crate) fn open(storage: &dyn Storage, entries: &[DocumentsEntry]) -> Result<(Self, Vec<FramedFile>)> {
        let (files, framed) = DocumentsFiles::open(storage, entries)?;
        Ok((Self { files, table: Arc::default() }, framed))
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.files.len as usize
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.files.len == 0
    }

    /// Document of passage `pid`. Unpacks one block of each column; for many documents, use [`Documents::reader`].
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its blocks are corrupt.
    pub fn get(&self, pid: u32) -> Result<Document> {
        self.reader().document(pid)
    }

    /// Id of passage `pid`, without unpacking its text.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) where `pid` is out of range,
    /// [`Error::Documents`](crate::Error::Documents) where its block is corrupt.
    pub fn id(&self, pid: u32) -> Result<String> {
        self.reader().id(pid)
    }

    /// Pid of the passage whose document has this id, if there is one.
    ///
    /// The first call reads all ids, on as many threads as the current rayon pool has, and keeps 12 bytes per passage,
    /// shared by all clones. Calls that start meanwhile wait for it. Later calls unpack one or two blocks of ids.
    ///
    /// # Errors
    /// [`Error::Documents`](crate::Error::Documents) where a block of ids is corrupt.
    pub fn pid(&self, id: &str) -> Result<Option<u32>> {
        let table = {
            // Held while the table is built, so that it is built once; `IdTable::of` says why that cannot deadlock.
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            match &*table {
                Some(table) => Arc::clone(table),
                None => Arc::clone(table.insert(Arc::new(IdTable::of(&self.files)?))),
            }
        };
        table.find(id, &mut self.reader())
    }

    /// Reader that keeps the last unpacked block of each column. Passages read in ascending order unpack each block
    /// once. In any other order a read costs no more than [`Documents::get`].
    pub fn reader(&self) -> DocumentsReader {
        DocumentsReader::new(self.files.clone())
    }

    /// Documents of a run of passages, each block unpacked once. Passages that are out of range are skipped.
    pub fn iter(&self, pids: Range<u32>) -> DocumentIter {
        DocumentIter { pids: pids.start..pids.end.min(self.files.len), reader: self.reader() }
    }
}

/// Iterator over the documents of a run of passages, in pid order. An item is
/// [`Error::Documents`](crate::Error::Documents) where its blocks are corrupt.
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
