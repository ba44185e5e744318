//! Writer of one documents file.

use super::block::{BLOCK_LIMIT, BODY_BLOCK_BYTES, Block, ID_BLOCK_BYTES, ZSTD_LEVEL};
use super::document::Document;
use super::reader::RawDocument;
use crate::bits::push_varint;
use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFileWriter};
use crate::storage::Storage;
use std::path::{Path, PathBuf};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// An open documents file.
pub(crate) struct DocumentsWriter {
    path: PathBuf,
    out: FramedFileWriter,
    zstd: Compressor<'static>,
    count: u32,
    ids: Column,
    bodies: Column,
    /// Buffer of one record.
    record: Vec<u8>,
}

/// One column: the open block and the entries of the written ones.
struct Column {
    block_bytes: usize,
    filling: Vec<u8>,
    first: u32,
    count: u32,
    directory: Vec<Block>,
}

impl Column {
    fn new(block_bytes: usize) -> Self {
        Self { block_bytes, filling: Vec::new(), first: 0, count: 0, directory: Vec::new() }
    }

    /// Appends a record, after writing the open block if the record would exceed its size.
    fn push(
        &mut self,
        record: &[u8],
        path: &Path,
        zstd: &mut Compressor<'_>,
        out: &mut FramedFileWriter,
    ) -> Result<()> {
        if self.count > 0 && self.filling.len() + record.len() > self.block_bytes {
            self.write_block(path, zstd, out)?;
        }
        self.filling.extend_from_slice(record);
        self.count += 1;
        Ok(())
    }

    fn write_block(&mut self, path: &Path, zstd: &mut Compressor<'_>, out: &mut FramedFileWriter) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let packed = zstd.compress(&self.filling).map_err(io_at(path))?;
        self.directory.push(Block {
            start: out.payload_bytes(),
            bytes: packed.len() as u32,
            unpacked_bytes: self.filling.len() as u32,
            first: self.first,
            count: self.count,
        });
        out.write(&packed)?;
        self.first += self.count;
        self.count = 0;
        self.filling.clear();
        Ok(())
    }
}

impl DocumentsWriter {
    /// Starts the documents file `number`.
    pub(crate) fn create(storage: &dyn Storage, number: u32) -> Result<Self> {
        let file = IndexFile::new(FileKind::Documents, number);
        let path = storage.path(&file.name());
        let zstd = || {
            let mut zstd = Compressor::new(ZSTD_LEVEL)?;
            zstd.set_parameter(CParameter::ChecksumFlag(true))?;
            Ok(zstd)
        };
        Ok(Self {
            out: FramedFileWriter::create(storage, file)?,
            zstd: zstd().map_err(io_at(&path))?,
            path,
            count: 0,
            ids: Column::new(ID_BLOCK_BYTES),
            bodies: Column::new(BODY_BLOCK_BYTES),
            record: Vec::new(),
        })
    }

    /// Memory that grows with the file, in bytes.
    pub(crate) fn bytes_held(&self) -> usize {
        (self.ids.directory.capacity() + self.bodies.directory.capacity()) * size_of::<Block>()
    }

    /// Appends a document whose records are not larger than a block can be.
    pub(crate) fn push(&mut self, document: RawDocument<'_>) -> Result<()> {
        let Self { path, out, zstd, ids, bodies, record, .. } = self;
        record.clear();
        push_field(record, document.id);
        ids.push(record, path, zstd, out)?;
        record.clear();
        push_field(record, document.text);
        push_field(record, document.metadata);
        bodies.push(record, path, zstd, out)?;
        self.count += 1;
        Ok(())
    }

    /// Completes the file.
    pub(crate) fn finish(self) -> Result<FileEntry> {
        self.into_framed()?.finish()
    }

    /// Completes a file that need not survive the process.
    pub(super) fn finish_temporary(self) -> Result<FileEntry> {
        self.into_framed()?.finish_temporary()
    }

    /// Writes the open blocks, the directories and the trailer.
    fn into_framed(mut self) -> Result<FramedFileWriter> {
        self.ids.write_block(&self.path, &mut self.zstd, &mut self.out)?;
        self.bodies.write_block(&self.path, &mut self.zstd, &mut self.out)?;
        for block in self.ids.directory.iter().chain(&self.bodies.directory) {
            self.out.write(&block.to_bytes())?;
        }
        for count in [self.count, self.ids.directory.len() as u32, self.bodies.directory.len() as u32, 0] {
            self.out.write(&count.to_le_bytes())?;
        }
        Ok(self.out)
    }
}

/// Appends a field of a record: its length and its bytes.
fn push_field(record: &mut Vec<u8>, field: &[u8]) {
    push_varint(record, field.len() as u64);
    record.extend_from_slice(field);
}

/// Metadata of a document as JSON. Refuses metadata that is not an object, and a document with a record above
/// [`BLOCK_LIMIT`].
pub(super) fn checked_metadata(document: &Document) -> Result<Vec<u8>> {
    let metadata = match &document.metadata {
        None => Vec::new(),
        Some(object @ serde_json::Value::Object(_)) => {
            serde_json::to_vec(object).map_err(|_| Error::Metadata { id: document.id.clone() })?
        }
        Some(_) => return Err(Error::Metadata { id: document.id.clone() }),
    };
    // A length takes at most ten bytes.
    let bytes = document.id.len().max(document.text.len() + metadata.len()) + 20;
    match bytes > BLOCK_LIMIT {
        true => Err(Error::DocumentTooLarge { id: document.id.clone(), bytes, limit: BLOCK_LIMIT }),
        false => Ok(metadata),
    }
}
