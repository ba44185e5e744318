//! Passages that a call gives: a collection, documents, or embeddings.

use crate::arrays::{AllRows, ArrayRows};
use crate::documents::{Embedded, Labelled, Labels, Numbering, Texts};
use crate::errors::invalid;
use crate::work::{self, Items};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use selvedge::{Document, EmbeddedDocument, Progress, Result};
use std::path::{Path, PathBuf};

/// Passages of a call, as `selvedge_search.index` passes them on: one of the first four, and what goes along with it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Input<'py> {
    collection: Option<PathBuf>,
    documents: Option<Bound<'py, PyAny>>,
    /// Iterable of arrays `(T, D)`.
    embeddings: Option<Bound<'py, PyAny>>,
    /// Array `(N, D)`, with the number of rows of each passage.
    array: Option<AllRows<'py>>,
    lens: Option<PyReadonlyArray1<'py, i64>>,
    ids: Option<Bound<'py, PyAny>>,
    texts: Option<Bound<'py, PyAny>>,
    metadata: Option<Bound<'py, PyAny>>,
}

/// Documents of the passages of a source.
pub(crate) type OptionalDocuments<'a> = Option<Box<dyn Iterator<Item = Result<Document>> + 'a>>;

/// Work on passages, by the form in which they come.
pub(crate) trait Take: Send {
    /// Result of the work.
    type Output: Send;

    fn collection(self, path: &Path, progress: &dyn Progress) -> Result<Self::Output>;
    fn documents(self, documents: Items<Document>, progress: &dyn Progress) -> Result<Self::Output>;
    fn embedded(
        self,
        dim: Option<usize>,
        documents: Items<EmbeddedDocument>,
        progress: &dyn Progress,
    ) -> Result<Self::Output>;
    fn array(
        self,
        source: &mut ArrayRows<'_>,
        documents: OptionalDocuments<'_>,
        progress: &dyn Progress,
    ) -> Result<Self::Output>;
}

impl Input<'_> {
    /// Whether the passages are texts.
    pub(crate) fn is_text(&self) -> bool {
        self.collection.is_some() || self.documents.is_some()
    }

    /// Hands the passages to the work.
    pub(crate) fn give<T: Take>(
        self,
        py: Python<'_>,
        progress: &Option<Py<PyAny>>,
        numbering: Numbering,
        take: T,
    ) -> PyResult<T::Output> {
        if let Some(path) = self.collection {
            return work::run(py, progress, work::Nothing, |progress, _| take.collection(&path, progress));
        }
        if let Some(documents) = self.documents {
            let texts = Texts::new(&documents, numbering)?;
            return work::run(py, progress, texts, |progress, items| take.documents(items, progress));
        }
        let labels = Labels::new([&self.ids, &self.texts, &self.metadata], numbering)?;
        if let Some(embeddings) = self.embeddings {
            let embedded = Embedded::new(py, &embeddings, labels)?;
            let dim = embedded.dim();
            return work::run(py, progress, embedded, |progress, items| take.embedded(dim, items, progress));
        }
        let (Some(array), Some(lens)) = (self.array, self.lens) else {
            return Err(invalid("nothing to index: give documents, or embeddings"));
        };
        let mut source = ArrayRows::new(&array, &lens)?;
        let is_labelled = !labels.is_empty();
        let labelled = Labelled::new(labels, selvedge::source::Source::num_passages(&source));
        work::run(py, progress, labelled, |progress, items| {
            let documents: OptionalDocuments<'_> = if is_labelled { Some(Box::new(items)) } else { None };
            take.array(&mut source, documents, progress)
        })
    }
}
