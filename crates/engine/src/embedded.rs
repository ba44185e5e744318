//! Documents with embeddings that were made elsewhere, in memory.

use crate::source::Source;
use crate::{Error, Result};
use selvedge_encoder::Embeddings;
use selvedge_index::Document;

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

/// Source of the embeddings of documents in memory.
pub(crate) struct EmbeddedSource<'a> {
    dim: usize,
    documents: &'a [EmbeddedDocument],
}

impl<'a> EmbeddedSource<'a> {
    /// Checks the embeddings of `documents`, `dim` components each.
    pub(crate) fn new(dim: usize, documents: &'a [EmbeddedDocument]) -> Result<Self> {
        if dim == 0 || !dim.is_multiple_of(8) || dim > MAX_DIM {
            return Err(Error::option("dim", dim, "expected a multiple of 8 up to 32768"));
        }
        for EmbeddedDocument { document, embeddings } in documents {
            let bad = |reason: String| Error::BadEmbeddings { id: document.id.clone(), reason };
            if !embeddings.len().is_multiple_of(dim) {
                return Err(bad(format!("{} components are no rows of {dim}", embeddings.len())));
            }
            if let Some(at) = embeddings.iter().position(|x| !x.is_finite() || x.abs() > MAX_COMPONENT) {
                return Err(bad(format!("component {} of row {} is {}", at % dim, at / dim, embeddings[at])));
            }
        }
        Ok(Self { dim, documents })
    }

    fn len(&self, document: &EmbeddedDocument) -> usize {
        document.embeddings.len() / self.dim
    }
}

impl Source for EmbeddedSource<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn num_passages(&self) -> usize {
        self.documents.len()
    }

    fn max_doclen(&self) -> usize {
        self.documents.iter().map(|document| self.len(document)).max().unwrap_or(0)
    }

    fn max_tokens(&self) -> usize {
        self.documents.iter().map(|document| self.len(document)).sum()
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn needs_f32(&self) -> bool {
        true
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let documents = || pids.iter().map(|&pid| &self.documents[pid as usize]);
        Ok(Embeddings {
            dim: self.dim,
            data: documents().flat_map(|document| document.embeddings.iter().copied()).collect(),
            lens: documents().map(|document| self.len(document) as u32).collect(),
            ..Embeddings::default()
        })
    }
}
