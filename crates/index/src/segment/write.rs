//! Writer of one segment.

use super::{Inverted, PassageRows};
use crate::columns::ColumnsBuilder;
use crate::documents::{DocumentsWriter, IdTable, RawDocument, hash_of};
use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::lists::ListsEncoder;
use crate::manifest::SegmentEntry;
use crate::storage::Storage;
use crate::words::{Maker, SegmentWords, WordsError};
use selvedge_backend::{CheckedCodec, CodecSizes, CompressedPassages, pack_codes, pack_weights, packed_codes_bytes};
use std::sync::Arc;

/// Writer of one segment.
pub(crate) struct SegmentWriter {
    storage: Arc<dyn Storage>,
    number: u32,
    codec: CheckedCodec,
    count: u32,
    num_tokens: u32,
    offsets: FramedFileWriter,
    codes: FramedFileWriter,
    residuals: FramedFileWriter,
    weights: FramedFileWriter,
    documents: DocumentsWriter,
    columns: ColumnsBuilder,
    words: Option<Box<dyn SegmentWords>>,
    /// Hashes of the ids of the passages.
    id_hashes: Vec<u32>,
    /// Codes that are not packed yet: at most 7, as eight fill whole bytes at any width.
    pending_codes: Vec<u32>,
    /// Weight indices that are not packed yet: at most 7, likewise.
    pending_weights: Vec<u8>,
}

impl SegmentWriter {
    /// Creates the files of segment `number`.
    pub(crate) fn create(storage: &Arc<dyn Storage>, number: u32, codec: CheckedCodec, maker: &Maker) -> Result<Self> {
        let create = |kind| FramedFileWriter::create(&**storage, IndexFile::new(kind, number));
        let mut offsets = create(FileKind::Offsets)?;
        offsets.write(&0u32.to_le_bytes())?;
        Ok(Self {
            storage: Arc::clone(storage),
            number,
            codec,
            count: 0,
            num_tokens: 0,
            offsets,
            codes: create(FileKind::Codes)?,
            residuals: create(FileKind::Residuals)?,
            weights: create(FileKind::Weights)?,
            documents: DocumentsWriter::create(&**storage, number)?,
            columns: ColumnsBuilder::default(),
            words: maker.as_ref().map(|maker| maker.start()).transpose().map_err(of_words)?,
            id_hashes: Vec::new(),
            pending_codes: Vec::new(),
            pending_weights: Vec::new(),
        })
    }

    /// Number of tokens so far.
    pub(crate) fn num_tokens(&self) -> u32 {
        self.num_tokens
    }

    /// Memory of the columns and words so far, in bytes, approximately.
    pub(crate) fn bytes_held(&self) -> usize {
        self.columns.bytes_held() + self.words.as_ref().map_or(0, |words| words.bytes_held())
    }

    /// Appends the document of a passage; its passage comes by [`SegmentWriter::push`].
    pub(crate) fn push_document(&mut self, document: RawDocument<'_>) -> Result<()> {
        self.id_hashes.push(hash_of(document.id));
        self.columns.push(document.metadata);
        if let Some(words) = &mut self.words {
            words.push(&String::from_utf8_lossy(document.text)).map_err(of_words)?;
        }
        self.documents.push(document)
    }

    /// Appends passages. The caller has checked lengths and codes, and that token numbers fit 32 bits.
    pub(crate) fn push(&mut self, rows: PassageRows<'_>) -> Result<()> {
        for doclen in rows.doclens {
            self.num_tokens += doclen;
            self.offsets.write(&self.num_tokens.to_le_bytes())?;
        }
        self.count += rows.doclens.len() as u32;
        self.push_codes(rows.codes)?;
        self.residuals.write(rows.residuals)?;
        self.push_weights(rows.weights)
    }

    /// Packs a multiple of eight codes, which fill whole bytes, and keeps the tail.
    fn push_codes(&mut self, codes: &[u32]) -> Result<()> {
        self.pending_codes.extend_from_slice(codes);
        let whole = self.pending_codes.len() / 8 * 8;
        let bits = self.codec.code_bits();
        let packed = pack_codes(&self.pending_codes[..whole], bits);
        self.codes.write(&packed[..packed.len() - packed_codes_bytes(0, bits)])?;
        self.pending_codes.drain(..whole);
        Ok(())
    }

    /// Packs a multiple of eight weight indices and keeps the tail; at 0 bits there is nothing to store.
    fn push_weights(&mut self, weights: &[u8]) -> Result<()> {
        if self.codec.weight_bits == 0 {
            return Ok(());
        }
        self.pending_weights.extend_from_slice(weights);
        let whole = self.pending_weights.len() / 8 * 8;
        self.weights.write(&pack_weights(&self.pending_weights[..whole], self.codec.weight_bits))?;
        self.pending_weights.drain(..whole);
        Ok(())
    }

    /// Closes the streamed files, and writes the table of ids, the columns and the lists.
    pub(crate) fn finish(mut self) -> Result<SegmentEntry> {
        self.codes.write(&pack_codes(&self.pending_codes, self.codec.code_bits()))?;
        self.weights.write(&pack_weights(&self.pending_weights, self.codec.weight_bits))?;
        assert_eq!(self.id_hashes.len(), self.count as usize, "one document for each passage");
        let storage = &*self.storage;
        let mut entry = SegmentEntry {
            number: self.number,
            count: self.count,
            num_tokens: self.num_tokens,
            residual: None,
            offsets: self.offsets.finish()?,
            codes: self.codes.finish()?,
            residuals: self.residuals.finish()?,
            weights: self.weights.finish()?,
            lists: FileEntry { bytes: 0, crc32: 0 },
            documents: self.documents.finish()?,
            ids: IdTable::write(storage, self.number, &self.id_hashes)?,
            columns: Some(self.columns.write(storage, self.number)?),
            words: self.words.map(|words| write_words(storage, self.number, words)).transpose()?,
            deleted: None,
        };
        drop(self.id_hashes);
        entry.lists = write_lists(storage, &entry, self.codec.sizes())?;
        Ok(entry)
    }
}

/// Writes the words of a segment.
fn write_words(storage: &dyn Storage, number: u32, words: Box<dyn SegmentWords>) -> Result<FileEntry> {
    let bytes = words.finish().map_err(of_words)?;
    let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::Words, number))?;
    out.write(&bytes)?;
    out.finish()
}

/// The error of a maker of words.
fn of_words(source: WordsError) -> Error {
    Error::Words { source }
}

/// Builds the inverted lists of a segment whose arrays are written.
fn write_lists(storage: &dyn Storage, entry: &SegmentEntry, codec: CodecSizes) -> Result<FileEntry> {
    let payload = |kind| FramedFile::open(storage, IndexFile::new(kind, entry.number)).map(|file| file.payload);
    let passages = CompressedPassages {
        offsets: payload(FileKind::Offsets)?,
        codes: payload(FileKind::Codes)?,
        residuals: bytes::Bytes::new(),
        weights: bytes::Bytes::new(),
    };
    let inverted = Inverted::new(&passages, codec);
    let mut encoder = ListsEncoder::new(entry.count);
    (0..codec.num_centroids).for_each(|code| encoder.push(inverted.list(code)));
    drop(inverted);
    let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::InvertedLists, entry.number))?;
    encoder.write(&mut out)?;
    out.finish()
}
