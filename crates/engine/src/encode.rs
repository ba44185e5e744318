//! Embeddings of a collection, or of queries, without an index: NumPy arrays for other programs and for other settings.
//!
//! **In:** a collection as [`build`](mod@crate::build) reads it, or queries. **Out:** a folder with one row per token
//! `(total_tokens, D)`, tokens per text and ids, in the order of the input:
//!
//! | | passages | queries |
//! |---|---|---|
//! | embeddings | `docs.npy` | `queries.npy` |
//! | tokens per text, i32 | `doclens.npy` | `querylens.npy` |
//! | ids, one per line | `ids.txt` | `queryids.txt` |

use crate::collection::{ReadOptions, ReadReport};
use crate::progress::{Progress, Stage};
use crate::save::Saver;
use crate::{Result, collection, query_file};
use selvedge_encoder::{Encoder, TextKind};
use selvedge_index::Document;
use std::path::Path;

/// Texts that are encoded at a time.
const BLOCK_TEXTS: usize = 1024;

/// Options of [`encode()`].
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// Whether the texts are queries, as [`query_file::read`] reads them, rather than a collection.
    pub queries: bool,
    /// Whether rows are f32 rather than f16.
    pub is_f32: bool,
    /// Options of reading a folder.
    pub read: ReadOptions,
}

/// Counts of what was encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct EncodeReport {
    /// Texts read.
    pub texts: usize,
    /// Rows written.
    pub tokens: u64,
    /// Components of a row.
    pub dim: usize,
    /// Number of texts that have more tokens than the encoder reads.
    pub truncated: usize,
    /// Files and lines of the collection that were left out; none of queries.
    pub read: ReadReport,
}

/// Encodes the texts at `input` into files of the folder `out`; each file appears when it is complete.
///
/// # Errors
/// If the input or a line of it cannot be read, the encoder fails, or the folder cannot be written.
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
        saver: Saver::create(out, kind, encoder.dim(), options.is_f32)?,
        stage: Stage::new(progress, "encode", "texts", None),
        ids: Vec::new(),
        texts: Vec::new(),
        tokens: 0,
        truncated: 0,
    };
    let mut read = ReadReport::default();
    if options.queries {
        query_file::read(input)?.into_iter().try_for_each(|(id, text)| blocks.push(id, text))?;
    } else {
        let each = |document: Document| blocks.push(document.id, document.text);
        read = collection::read(input, Some(encoder), &options.read, each)?;
    }
    blocks.flush()?;
    let Blocks { saver, stage, ids, tokens, truncated, .. } = blocks;
    stage.finish();
    let report = EncodeReport { texts: ids.len(), tokens, dim: encoder.dim(), truncated, read };
    saver.finish(ids.into_iter().map(Ok))?;
    Ok(report)
}

/// Texts on their way, a block at a time.
struct Blocks<'a> {
    encoder: &'a Encoder,
    kind: TextKind,
    saver: Saver,
    stage: Stage<'a>,
    ids: Vec<String>,
    texts: Vec<String>,
    tokens: u64,
    truncated: usize,
}

impl Blocks<'_> {
    fn push(&mut self, id: String, text: String) -> Result<()> {
        self.ids.push(id);
        self.texts.push(text);
        if self.texts.len() < BLOCK_TEXTS { Ok(()) } else { self.flush() }
    }

    /// Encodes and writes the texts that wait.
    fn flush(&mut self) -> Result<()> {
        let embeddings = match self.kind {
            TextKind::Query => self.encoder.encode_queries(&self.texts)?,
            TextKind::Passage => self.encoder.encode_passages(&self.texts)?,
        };
        self.saver.push(&embeddings)?;
        self.truncated += embeddings.num_truncated;
        self.tokens += embeddings.num_embeddings() as u64;
        self.stage.add(self.texts.len() as u64)?;
        self.texts.clear();
        Ok(())
    }
}
