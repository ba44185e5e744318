//! Embeddings of a collection or of queries, written as arrays for other programs and later builds.
//!
//! **In:** a collection as [`build`](mod@crate::build) reads it, or queries. **Out:** a folder with one row per token
//! `(total_tokens, D)`, tokens per text and ids, in the order of the input:
//!
//! | | passages | queries |
//! |---|---|---|
//! | embeddings | `docs.npy` | `queries.npy` |
//! | tokens per text, i32 | `doclens.npy` | `querylens.npy` |
//! | ids, one per line | `ids.txt` | `queryids.txt` |
//!
//! A path that ends in `.npz` or `.safetensors` is one file with all of them: [`Saver`].

use crate::collection::{ReadOptions, ReadReport};
use crate::progress::{Progress, Stage};
use crate::query_file::QueryFile;
use crate::save::Saver;
use crate::source::TextBlock;
use crate::{Result, collection, query_file};
use selvedge_encoder::{Encoder, TextKind};
use selvedge_index::Document;
use std::path::Path;

/// Options of [`encode()`].
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// Whether the input is queries, as [`query_file::read`] reads them, rather than a collection.
    pub queries: bool,
    /// Whether rows are f32 rather than f16.
    pub is_f32: bool,
    /// Options of reading a collection that is a folder.
    pub read: ReadOptions,
}

/// Counts of what was encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct EncodeReport {
    /// Number of texts.
    pub texts: usize,
    /// Number of rows written.
    pub tokens: u64,
    /// Number of components of a row.
    pub dim: usize,
    /// Number of texts that were cut at the encoder's maximum length.
    pub truncated: usize,
    /// Files and lines of the input that were skipped. For queries, only a header is reported.
    pub read: ReadReport,
}

/// Encodes the texts at `input` into arrays and ids in the folder or file `out`; [`Saver`] names them.
/// Each file appears when it is complete; the folder is created when the first texts are encoded.
///
/// # Errors
/// - The errors of [`query_file::read`] or [`collection::read`].
/// - [`Error::FolderOption`](crate::Error::FolderOption) if the input is queries and an option of reading folders is
///   given.
/// - [`Error::Encoder`](crate::Error::Encoder) if the encoder fails, [`Error::Io`](crate::Error::Io) if the folder
///   cannot be written, [`Error::Cancelled`](crate::Error::Cancelled) if `progress` stops the operation.
pub fn encode(
    input: &Path,
    out: &Path,
    encoder: &Encoder,
    options: &EncodeOptions,
    progress: &dyn Progress,
) -> Result<EncodeReport> {
    let kind = if options.queries { TextKind::Query } else { TextKind::Passage };
    let mut blocks = Blocks {
        encoder,
        kind,
        out,
        is_f32: options.is_f32,
        saver: None,
        stage: Stage::new(progress, "encode", "texts", None),
        ids: Vec::new(),
        block: TextBlock::to_encode(),
        tokens: 0,
        truncated: 0,
    };
    let mut read = ReadReport::default();
    if options.queries {
        let QueryFile { queries, had_header } = query_file::read(input)?;
        options.read.check_unused(input)?;
        read = ReadReport { had_header, ..read };
        queries.into_iter().try_for_each(|(id, text)| blocks.push(id, text))?;
    } else {
        let each = |document: Document| blocks.push(document.id, document.text);
        read = collection::read(input, Some(encoder), &options.read, each)?;
    }
    blocks.finish(read)
}

/// Texts that are encoded and written block by block.
struct Blocks<'a> {
    encoder: &'a Encoder,
    kind: TextKind,
    out: &'a Path,
    is_f32: bool,
    /// Created by the first block, when the input is known to be readable.
    saver: Option<Saver>,
    stage: Stage<'a>,
    ids: Vec<String>,
    block: TextBlock,
    tokens: u64,
    truncated: usize,
}

impl Blocks<'_> {
    fn push(&mut self, id: String, text: String) -> Result<()> {
        self.ids.push(id);
        self.block.push(text);
        if self.block.is_full() {
            self.saver = Some(self.flush()?);
        }
        Ok(())
    }

    /// Encodes and writes the current block; returns the writer.
    fn flush(&mut self) -> Result<Saver> {
        let mut saver = match self.saver.take() {
            Some(saver) => saver,
            None => Saver::create(self.out, self.kind, self.encoder.dim(), self.is_f32)?,
        };
        let texts = self.block.texts().len() as u64;
        let embeddings = self.block.encode(self.encoder, self.kind)?;
        saver.push(&embeddings)?;
        self.truncated += embeddings.num_truncated;
        self.tokens += embeddings.num_embeddings() as u64;
        self.stage.add(texts)?;
        Ok(saver)
    }

    /// Encodes the last block and completes the files.
    fn finish(mut self, read: ReadReport) -> Result<EncodeReport> {
        let saver = self.flush()?;
        self.stage.finish();
        let Self { encoder, ids, tokens, truncated, .. } = self;
        let report = EncodeReport { texts: ids.len(), tokens, dim: encoder.dim(), truncated, read };
        saver.finish(ids.into_iter().map(Ok))?;
        Ok(report)
    }
}
