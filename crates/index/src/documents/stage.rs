//! Documents of the passages that a writer adds, before the passages come: a temporary file, and their ids.

use super::document::{Document, check_id};
use super::file::DocumentsFile;
use super::ids::{IdSet, IdTable};
use super::read::{Documents, DocumentsPart};
use super::reader::RawDocument;
use super::write::{DocumentsWriter, checked_metadata};
use crate::deleted::Deleted;
use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFile;
use crate::storage::Storage;
use std::sync::Arc;

/// The temporary file. No segment gets so high a number.
const TEMPORARY: IndexFile = IndexFile { kind: FileKind::Documents, number: u32::MAX };

/// Documents that are written to a temporary file, in order.
#[derive(Default)]
pub(crate) struct DocumentsStage {
    open: Option<DocumentsWriter>,
    ids: IdSet,
    count: u32,
    is_closed: bool,
}

impl DocumentsStage {
    /// Checks the next document, and returns its metadata as JSON. Refuses an invalid or duplicate id, metadata that is
    /// not an object, a document that is too large, and a document for which there is no pid.
    pub(crate) fn admit(&self, document: &Document) -> Result<Vec<u8>> {
        assert!(!self.is_closed, "documents come before finish_documents");
        check_id(&document.id, self.count)?;
        if let Some(first) = self.ids.get(&document.id) {
            return Err(Error::DuplicateId { id: document.id.clone(), first, second: self.count });
        }
        if self.count == u32::MAX {
            let limit = u64::from(u32::MAX);
            return Err(Error::TooMany { what: "passages", found: limit + 1, limit });
        }
        checked_metadata(document)
    }

    /// Writes an admitted document.
    pub(crate) fn push(&mut self, storage: &dyn Storage, document: &Document, metadata: &[u8]) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(DocumentsWriter::create(storage, TEMPORARY.number)?),
        };
        open.push(RawDocument { id: document.id.as_bytes(), text: document.text.as_bytes(), metadata })?;
        self.ids.insert(&document.id, self.count);
        self.count += 1;
        Ok(())
    }

    /// Memory that grows with the documents, in bytes.
    pub(crate) fn bytes_held(&self) -> usize {
        self.ids.bytes_held() + self.open.as_ref().map_or(0, DocumentsWriter::bytes_held)
    }

    /// Number of documents.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Ends the documents, frees their ids, and opens the temporary file.
    pub(crate) fn close(&mut self, storage: &dyn Storage) -> Result<Documents> {
        self.is_closed = true;
        self.ids = IdSet::default();
        let Some(open) = self.open.take() else { return Ok(Documents::default()) };
        let entry = open.finish_temporary()?;
        let framed = FramedFile::open_named(storage, TEMPORARY, entry)?;
        let file = Arc::new(DocumentsFile::open(&framed, self.count)?);
        let (ids, deleted) = (IdTable::default(), Deleted::default());
        Ok(Documents::new(vec![DocumentsPart { first_pid: 0, count: self.count, file, ids, deleted }]))
    }

    /// Deletes the temporary file.
    pub(crate) fn remove(&self, storage: &dyn Storage) -> Result<()> {
        let name = TEMPORARY.name();
        storage.remove(&name).map_err(io_at(&storage.path(&name)))
    }
}
