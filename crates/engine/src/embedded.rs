//! Documents with embeddings that were made elsewhere.

use crate::build::push_document;
use crate::progress::{Progress, Stage};
use crate::source::Source;
use crate::{Error, Result};
use selvedge_encoder::Embeddings;
use selvedge_index::{Document, SpoolReader, Writer};

/// Largest absolute value of a component; embeddings have about unit length.
const MAX_COMPONENT: f32 = selvedge_backend::MAX_COMPONENT;

/// Most components of an embedding.
const MAX_DIM: usize = 32_768;

/// Document with its embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedDocument {
    /// Id, metadata, and a text, which may be empty.
    pub document: Document,
    /// Embeddings of its tokens, `(T, D) f32`; `T` may be 0.
    pub embeddings: Vec<f32>,
}

/// Source of the embeddings of documents that came one by one. They wait in a temporary file of the index's writer, so
/// that memory holds one document at a time.
pub(crate) struct EmbeddedSource {
    dim: usize,
    rows: SpoolReader,
    /// First row of each document, and the end.
    offsets: Vec<u64>,
}

impl EmbeddedSource {
    /// Checks and keeps documents with embeddings of `dim` components; the documents themselves go to the writer.
    pub(crate) fn collect(
        dim: usize,
        documents: impl IntoIterator<Item = Result<EmbeddedDocument>>,
        writer: &mut Writer,
        memory_budget: u64,
        progress: &dyn Progress,
    ) -> Result<Self> {
        check_dim(dim)?;
        let mut spool = writer.spool()?;
        let mut offsets = vec![0];
        let mut stage = Stage::new(progress, "read", "passages", None);
        for document in documents {
            let EmbeddedDocument { document, embeddings } = document?;
            check(dim, &document.id, &embeddings)?;
            push_document(writer, &document, memory_budget)?;
            spool.push(&embeddings)?;
            offsets.push(spool.len() / dim as u64);
            stage.add(1)?;
        }
        stage.finish();
        match offsets.len() {
            1 => Err(Error::NoDocuments),
            _ => Ok(Self { dim, rows: spool.into_reader()?, offsets }),
        }
    }
}

/// Checks the dimension of embeddings.
pub(crate) fn check_dim(dim: usize) -> Result<()> {
    match dim > 0 && dim.is_multiple_of(8) && dim <= MAX_DIM {
        true => Ok(()),
        false => Err(Error::option("dim", dim, "expected a multiple of 8 up to 32768")),
    }
}

/// Checks the embeddings of a document.
fn check(dim: usize, id: &str, embeddings: &[f32]) -> Result<()> {
    let bad = |reason: String| Err(Error::BadEmbeddings { id: id.to_owned(), reason });
    if !embeddings.len().is_multiple_of(dim) {
        return bad(format!("{} components are no rows of {dim}", embeddings.len()));
    }
    match embeddings.iter().position(|x| !x.is_finite() || x.abs() > MAX_COMPONENT) {
        Some(at) => bad(format!("component {} of row {} is {}", at % dim, at / dim, embeddings[at])),
        None => Ok(()),
    }
}

impl Source for EmbeddedSource {
    fn dim(&self) -> usize {
        self.dim
    }

    fn num_passages(&self) -> usize {
        self.offsets.len() - 1
    }

    fn max_doclen(&self) -> usize {
        self.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
    }

    fn max_tokens(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn needs_f32(&self) -> bool {
        true
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let mut out = Embeddings { dim: self.dim, ..Embeddings::default() };
        for &pid in pids {
            let (start, end) = (self.offsets[pid as usize], self.offsets[pid as usize + 1]);
            let filled = out.data.len();
            out.data.resize(filled + (end - start) as usize * self.dim, 0.0);
            self.rows.seek(start * self.dim as u64)?;
            self.rows.read(&mut out.data[filled..])?;
            out.lens.push((end - start) as u32);
        }
        Ok(out)
    }
}
