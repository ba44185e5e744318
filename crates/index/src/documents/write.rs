//! Writer of one documents file.

use super::block::{BLOCK_LIMIT, BODY_BLOCK_BYTES, Block, ID_BLOCK_BYTES, ZSTD_LEVEL};
use super::document::Document;
use crate::bits::push_varint;
use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::FramedFileWriter;
use crate::manifest::DocumentsEntry;
use crate::storage::Storage;
use std::path::{Path, PathBuf};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// An open documents file.
pub(super) struct DocumentsWriter {
    path: PathBuf,
    out: FramedFileWriter,
    zstd: Compressor<'static>,
    number: u32,
    first_pid: u32,
    count: u32,
    ids: Column,
    bodies: Column,
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
    /// Starts documents file `number`, whose first document belongs to passage `first_pid`.
    pub(super) fn create(storage: &dyn Storage, number: u32, first_pid: u32) -> Result<Self> {
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
            number,
            first_pid,
            count: 0,
            ids: Column::new(ID_BLOCK_BYTES),
            bodies: Column::new(BODY_BLOCK_BYTES),
        })
    }

    /// Bytes of the payload so far, without the open blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.out.payload_bytes()
    }

    /// Memory that grows with the file, in bytes.
    pub(super) fn bytes_held(&self) -> usize {
        (self.ids.directory.capacity() + self.bodies.directory.capacity()) * size_of::<Block>()
    }

    /// Appends the records of a document.
    pub(super) fn push(&mut self, records: &Records) -> Result<()> {
        self.ids.push(&records.id, &self.path, &mut self.zstd, &mut self.out)?;
        self.bodies.push(&records.body, &self.path, &mut self.zstd, &mut self.out)?;
        self.count += 1;
        Ok(())
    }

    /// Writes the open blocks, the directories and the trailer.
    pub(super) fn finish(mut self) -> Result<DocumentsEntry> {
        self.ids.write_block(&self.path, &mut self.zstd, &mut self.out)?;
        self.bodies.write_block(&self.path, &mut self.zstd, &mut self.out)?;
        for block in self.ids.directory.iter().chain(&self.bodies.directory) {
            self.out.write(&block.to_bytes())?;
        }
        for count in [self.count, self.ids.directory.len() as u32, self.bodies.directory.len() as u32, 0] {
            self.out.write(&count.to_le_bytes())?;
        }
        let file = self.out.finish()?;
        Ok(DocumentsEntry { number: self.number, first_pid: self.first_pid, count: self.count, file })
    }
}

/// Records of a document, one for each column.
pub(crate) struct Records {
    id: Vec<u8>,
    body: Vec<u8>,
}

/// Encodes a document as records. Refuses metadata that is not an object, and records above [`BLOCK_LIMIT`].
pub(super) fn records(document: &Document) -> Result<Records> {
    let metadata = match &document.metadata {
        None => Vec::new(),
        Some(object @ serde_json::Value::Object(_)) => {
            serde_json::to_vec(object).map_err(|_| Error::Metadata { id: document.id.clone() })?
        }
        Some(_) => return Err(Error::Metadata { id: document.id.clone() }),
    };
    let field = |bytes: &mut Vec<u8>, field: &[u8]| {
        push_varint(bytes, field.len() as u64);
        bytes.extend_from_slice(field);
    };
    let (mut id, mut body) = (Vec::new(), Vec::new());
    field(&mut id, document.id.as_bytes());
    field(&mut body, document.text.as_bytes());
    field(&mut body, &metadata);
    match id.len().max(body.len()) {
        bytes if bytes > BLOCK_LIMIT => {
            Err(Error::DocumentTooLarge { id: document.id.clone(), bytes, limit: BLOCK_LIMIT })
        }
        _ => Ok(Records { id, body }),
    }
}
