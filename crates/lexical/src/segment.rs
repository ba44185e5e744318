//! One opened segment.

use crate::builder::{schema, settings};
use crate::directory::PackDirectory;
use crate::pack::Pack;
use crate::{Error, Language, Result};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use tantivy::fieldnorm::FieldNormReader;
use tantivy::index::SegmentId;
use tantivy::postings::{SegmentPostings, TermInfo};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Index, InvertedIndexReader, SegmentReader, Term};

/// Opened segment, ready to be searched by [`Words`](crate::Words).
pub struct Segment {
    pack: Arc<Pack>,
    /// Made by the first search.
    reader: OnceLock<Reader>,
}

/// Parts of a segment that a search needs.
pub(crate) struct Reader {
    field: Field,
    num_passages: u32,
    /// Dictionary and posting lists.
    inverted: Arc<InvertedIndexReader>,
    /// Length of each passage, in a byte.
    lengths: FieldNormReader,
}

impl Segment {
    /// Opens the bytes of [`Builder::finish`](crate::Builder::finish), which may be a memory map.
    ///
    /// Reads and checks the header. The first search copies the dictionary (some 12 bytes per term) and the lengths (1
    /// byte per passage); posting lists stay where they are. All bytes are checked when they are first read.
    ///
    /// # Errors
    /// A variant of [`Error`] for each way in which a header can be damaged.
    pub fn open(bytes: Bytes) -> Result<Self> {
        Ok(Self { pack: Arc::new(Pack::open(bytes)?), reader: OnceLock::new() })
    }

    /// Language of the texts.
    pub fn language(&self) -> Language {
        self.pack.language()
    }

    /// Number of passages.
    pub fn num_passages(&self) -> u32 {
        self.pack.num_passages()
    }

    /// Number of terms of all passages, each as often as it occurs.
    pub fn num_tokens(&self) -> u64 {
        self.pack.num_tokens()
    }

    /// Returns the reader, which the first call makes.
    pub(crate) fn reader(&self) -> Result<&Reader> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        // Two threads may both do this; one of the readers is kept.
        let reader = Reader::new(&self.pack)?;
        Ok(self.reader.get_or_init(|| reader))
    }
}

impl Reader {
    fn new(pack: &Arc<Pack>) -> Result<Self> {
        let (schema, field) = schema();
        let num_passages = pack.num_passages();
        // A name for the files; the directory ignores it.
        let id = SegmentId::from_uuid_string(&"0".repeat(32)).expect("32 digits");
        let index = Index::create(PackDirectory(pack.clone()), schema, settings())?;
        let segment = SegmentReader::open(&index.segment(index.new_segment_meta(id, num_passages)))?;
        let (inverted, lengths) = (segment.inverted_index(field)?, segment.get_fieldnorms_reader(field)?);
        let found = (lengths.num_docs(), inverted.total_num_tokens());
        if found != (num_passages, pack.num_tokens()) {
            let reason = format!("{found:?} passages and terms, not {:?}", (num_passages, pack.num_tokens()));
            return Err(Error::Inconsistent { reason });
        }
        Ok(Self { field, num_passages, inverted, lengths })
    }

    /// Looks up a term in the dictionary.
    pub(crate) fn term(&self, term: &str) -> Result<Option<TermInfo>> {
        let info = self.inverted.get_term_info(&Term::from_field_text(self.field, term))?;
        match info {
            Some(info) if info.doc_freq > self.num_passages => Err(Error::Inconsistent {
                reason: format!("{} of {} passages have the term {term:?}", info.doc_freq, self.num_passages),
            }),
            info => Ok(info),
        }
    }

    /// Reads the passages that have a term.
    pub(crate) fn postings(&self, info: &TermInfo) -> Result<SegmentPostings> {
        Ok(self.inverted.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?)
    }

    /// Length of each passage.
    pub(crate) fn lengths(&self) -> &FieldNormReader {
        &self.lengths
    }
}

/// Runs code of tantivy. It relies on its files: contents that contradict each other can make it panic, although
/// checksums find all damage by chance. A forged file must not end a server.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    // All that is used afterwards is read-only, but for caches whose locks a panic poisons.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
        Err(Error::Inconsistent { reason: message.to_owned() })
    })
}
