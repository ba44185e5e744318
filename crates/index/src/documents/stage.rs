//! Writer of all documents of an index: numbered files, unique ids.

use super::document::{Document, check_id};
use super::ids::IdSet;
use super::read::Documents;
use super::write::{DocumentsWriter, Records, records};
use crate::error::{Error, Result};
use crate::manifest::DocumentsEntry;
use crate::storage::Storage;

/// Documents files, finished and open, and the ids written so far.
#[derive(Default)]
pub(crate) struct DocumentsStage {
    open: Option<DocumentsWriter>,
    files: Vec<DocumentsEntry>,
    ids: IdSet,
    count: u32,
    is_closed: bool,
}

impl DocumentsStage {
    /// Checks the next document and makes its records. Refuses an invalid or duplicate id, metadata that is not an
    /// object, a document that is too large, and a document for which there is no pid.
    pub(crate) fn admit(&self, document: &Document) -> Result<Records> {
        assert!(!self.is_closed, "documents come before finish_documents");
        check_id(&document.id, self.count)?;
        if let Some(first) = self.ids.get(&document.id) {
            return Err(Error::DuplicateId { id: document.id.clone(), first, second: self.count });
        }
        if self.count == u32::MAX {
            let limit = u64::from(u32::MAX);
            return Err(Error::TooMany { what: "passages", found: limit + 1, limit });
        }
        records(document)
    }

    /// Writes an admitted document, after closing a file that has reached `file_bytes`.
    pub(crate) fn push(&mut self, storage: &dyn Storage, file_bytes: u64, id: &str, records: &Records) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.bytes() >= file_bytes) {
            self.close_file()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(DocumentsWriter::create(storage, self.files.len() as u32, self.count)?),
        };
        open.push(records)?;
        self.ids.insert(id, self.count);
        self.count += 1;
        Ok(())
    }

    /// Memory that grows with the documents, in bytes.
    pub(crate) fn bytes_held(&self) -> usize {
        self.ids.bytes_held() + self.open.as_ref().map_or(0, DocumentsWriter::bytes_held)
    }

    fn close_file(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.files.push(open.finish()?);
        }
        Ok(())
    }

    /// Closes the last file and frees the ids.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.is_closed = true;
        self.ids = IdSet::default();
        self.close_file()
    }

    /// Opens the closed files.
    pub(crate) fn open(&self, storage: &dyn Storage) -> Result<Documents> {
        Ok(Documents::open(storage, &self.files)?.0)
    }

    /// Takes the entries of the closed files, for the manifest.
    pub(crate) fn take_files(&mut self) -> Vec<DocumentsEntry> {
        std::mem::take(&mut self.files)
    }
}
