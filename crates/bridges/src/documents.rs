//! Documents of imported passages: ids, texts and metadata.
//!
//! The id of a passage is the one that a collection gives, or its number in the source. Texts come from a collection;
//! metadata from both a collection and the source's own database, which wins where both have a key.

use crate::metadata::Metadata;
use crate::source::Source;
use crate::{Error, Result};
use selvedge_index::{Document, Writer};
use serde_json::Value;
use std::iter::Peekable;
use std::path::Path;
use std::vec::IntoIter;

/// Writer of a document per passage of a source that is not deleted.
pub struct Documents {
    metadata: Option<Metadata>,
    /// Numbers of the passages in their program, in the order of the index.
    alive: Peekable<IntoIter<u32>>,
    /// Number of documents that the collection should have, and has had.
    expected: u32,
    found: u32,
}

impl Documents {
    /// Prepares the documents of a source. Its metadata is read in batches, the first one now.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the metadata cannot be read, [`Error::Unsupported`] if there is some and this crate was
    /// built without the feature `sqlite`.
    pub fn new(source: &Source) -> Result<Self> {
        let alive: Vec<u32> = source.alive().iter().map(|&stored| source.pid(stored)).collect();
        let pids = (0..source.doclens.len() as u32).map(|stored| source.pid(stored));
        Ok(Self {
            metadata: source.metadata.as_deref().map(Metadata::open).transpose()?,
            alive: alive.into_iter().peekable(),
            expected: pids.max().map_or(0, |last| last.saturating_add(1)),
            found: 0,
        })
    }

    /// Stores documents with the passages' numbers as ids, and the source's metadata.
    ///
    /// # Errors
    /// [`Error::Index`] if the index refuses one.
    pub fn number(mut self, writer: &mut Writer) -> Result<()> {
        while let Some(pid) = self.alive.next() {
            self.store(writer, pid, Document { id: pid.to_string(), ..Document::default() })?;
        }
        Ok(())
    }

    /// Takes the next document of a collection, which has the documents of the source's passages by their numbers from
    /// 0, deleted ones included.
    ///
    /// # Errors
    /// The index's error if it refuses it.
    pub fn push(&mut self, writer: &mut Writer, document: Document) -> selvedge_index::Result<()> {
        let pid = self.found;
        self.found = self.found.saturating_add(1);
        match self.alive.next_if_eq(&pid) {
            Some(pid) => self.store(writer, pid, document),
            None => Ok(()),
        }
    }

    /// Ends a collection, whose path errors name.
    ///
    /// # Errors
    /// [`Error::Count`] if it had fewer or more documents than the source has passages, [`Error::Unsupported`] if the
    /// source's passages are out of order.
    pub fn finish(mut self, path: &Path) -> Result<()> {
        let (path, expected, found) = (path.to_owned(), self.expected.into(), self.found.into());
        if found != expected {
            return Err(Error::Count { path, of: "documents", expected, found });
        }
        match self.alive.next() {
            None => Ok(()),
            // Passages that were updated come later in the files than their numbers say.
            Some(pid) => {
                let found = format!("a collection for an index whose passage {pid} is out of order");
                let reason = "compact the index with its own program, or import it without the collection";
                Err(Error::Unsupported { path, found, reason })
            }
        }
    }

    fn store(&mut self, writer: &mut Writer, pid: u32, mut document: Document) -> selvedge_index::Result<()> {
        let found = self.metadata.as_mut().map(|metadata| metadata.of(pid.into()));
        if let Some(found) = found.transpose().map_err(read_error)?.flatten() {
            match &mut document.metadata {
                Some(Value::Object(fields)) => fields.extend(found),
                none => *none = Some(Value::Object(found)),
            }
        }
        writer.push_document(&document)
    }
}

/// The index's error for a source that cannot be read on, of a kind that readers of collections pass on.
fn read_error(error: Error) -> selvedge_index::Error {
    let path = error.path().unwrap_or(Path::new("")).to_owned();
    let reason = match error {
        Error::Malformed { reason, .. } => reason,
        other => other.to_string(),
    };
    selvedge_index::Error::Io { path, source: std::io::Error::new(std::io::ErrorKind::InvalidData, reason) }
}
