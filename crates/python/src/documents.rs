//! Python's iterables as documents, read one by one.

use crate::arrays::rows_of;
use crate::errors::{invalid, wrong_type};
use crate::json::{metadata, named, text, type_name};
use crate::work::Feed;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyIterator, PyList, PyString, PyTuple};
use selvedge::{Document, EmbeddedDocument};

/// Numbers that are ids of passages without one.
#[derive(Clone, Copy)]
pub(crate) enum Numbering {
    /// Numbers from this one on.
    From(usize),
    /// None: passages replace others, by their ids.
    Refused,
}

impl Numbering {
    fn id(self, read: usize) -> PyResult<String> {
        match self {
            Self::From(first) => Ok((first + read).to_string()),
            Self::Refused => {
                let reason = "passages replace those with their ids: give each its id";
                Err(invalid(format!("passage {read} has no id; {reason}")))
            }
        }
    }
}

/// Documents of an iterable of texts, pairs, triples and dictionaries.
pub(crate) struct Texts {
    items: Py<PyIterator>,
    numbering: Numbering,
    read: usize,
}

impl Texts {
    pub(crate) fn new(documents: &Bound<'_, PyAny>, numbering: Numbering) -> PyResult<Self> {
        let items = iterator(documents, "documents", "a list of texts, (id, text) or dictionaries")?;
        Ok(Self { items, numbering, read: 0 })
    }
}

impl Feed for Texts {
    type Item = Document;

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Document>> {
        let Some(item) = self.items.bind(py).clone().next().transpose()? else { return Ok(None) };
        let number = self.read;
        self.read += 1;
        document(&item, number, self.numbering).map(Some)
    }
}

/// Converts the document of a number.
fn document(item: &Bound<'_, PyAny>, number: usize, numbering: Numbering) -> PyResult<Document> {
    if item.is_instance_of::<PyString>() {
        let body = text(item).map_err(|error| named(item.py(), error, || format!("document {number}")))?;
        return Ok(Document { id: numbering.id(number)?, text: body, metadata: None });
    }
    if item.is_instance_of::<PyTuple>() || item.is_instance_of::<PyList>() {
        let parts: Vec<Bound<'_, PyAny>> = item.try_iter()?.collect::<PyResult<_>>()?;
        let (id, body, about) = match parts.as_slice() {
            [id, body] => (id, body, None),
            [id, body, about] => (id, body, Some(about)),
            _ => return Err(wrong_type(format!("document {number} has {} parts; give (id, text)", parts.len()))),
        };
        let id = id_of(id)?;
        let about = about.map_or(Ok(None), |about| metadata(about, &id))?;
        return Ok(Document { text: body_of(body, &id)?, id, metadata: about });
    }
    let Ok(item) = item.cast::<PyDict>() else {
        let found = type_name(item);
        let expected = "give a text, (id, text), (id, text, metadata) or a dictionary with \"text\"";
        return Err(wrong_type(format!("document {number} is a {found}; {expected}")));
    };
    let id = item.get_item("id")?.filter(|id| !id.is_none());
    let id = id.map_or_else(|| numbering.id(number), |id| id_of(&id))?;
    let Some(body) = item.get_item("text")? else {
        return Err(invalid(format!("document {id:?} has no \"text\"")));
    };
    let given = item.get_item("metadata")?.filter(|given| !given.is_none());
    let others = item.copy()?;
    for known in ["id", "text", "metadata"] {
        if others.contains(known)? {
            others.del_item(known)?;
        }
    }
    if let Some(given) = given {
        // Refuses what is no dictionary.
        metadata(&given, &id)?;
        others.call_method1("update", (given,))?;
    }
    Ok(Document { text: body_of(&body, &id)?, metadata: metadata(&others, &id)?, id })
}

/// Text of a document.
fn body_of(body: &Bound<'_, PyAny>, id: &str) -> PyResult<String> {
    match body.is_instance_of::<PyString>() {
        true => text(body).map_err(|error| named(body.py(), error, || format!("the text of document {id:?}"))),
        false => Err(wrong_type(format!("the text of document {id:?} is a {}, not a str", type_name(body)))),
    }
}

/// Id of a document: a text, or a number as text.
pub(crate) fn id_of(id: &Bound<'_, PyAny>) -> PyResult<String> {
    if id.is_instance_of::<PyString>() {
        return text(id);
    }
    if id.is_instance_of::<PyInt>() {
        return Ok(id.str()?.to_string());
    }
    // Integers of numpy.
    match id.hasattr("__index__")? {
        true => Ok(id.call_method0("__index__")?.str()?.to_string()),
        false => Err(wrong_type(format!("an id is a {}; give a str or an int", type_name(id)))),
    }
}

/// Ids of an iterable.
pub(crate) fn ids_of(ids: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if ids.is_instance_of::<PyString>() || (ids.hasattr("__index__")? && ids.try_iter().is_err()) {
        return Ok(vec![id_of(ids)?]);
    }
    let ids = iterator(ids, "ids", "an iterable of str or int")?;
    Python::attach(|py| ids.bind(py).clone().map(|id| id_of(&id?)).collect())
}

/// Ids, texts and metadata of passages that come as embeddings.
pub(crate) struct Labels {
    ids: Option<Py<PyIterator>>,
    texts: Option<Py<PyIterator>>,
    metadata: Option<Py<PyIterator>>,
    numbering: Numbering,
    read: usize,
}

impl Labels {
    /// Reads iterables of ids, texts and metadata, as far as they are given.
    pub(crate) fn new(given: [&Option<Bound<'_, PyAny>>; 3], numbering: Numbering) -> PyResult<Self> {
        let of =
            |number: usize, name, expected| given[number].as_ref().map(|all| iterator(all, name, expected)).transpose();
        Ok(Self {
            ids: of(0, "ids", "an iterable of str or int")?,
            texts: of(1, "texts", "an iterable of str")?,
            metadata: of(2, "metadata", "an iterable of dictionaries")?,
            numbering,
            read: 0,
        })
    }

    /// Whether passages have none of them.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_none() && self.texts.is_none() && self.metadata.is_none()
    }

    /// Reads the labels of the next passage.
    fn next(&mut self, py: Python<'_>) -> PyResult<Document> {
        let number = self.read;
        self.read += 1;
        let next = |items: &Option<Py<PyIterator>>, what: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            let Some(items) = items else { return Ok(None) };
            let item = items.bind(py).clone().next().transpose()?;
            let missing = || invalid(format!("{what} has {number} entries, fewer than there are embeddings"));
            item.map(Some).ok_or_else(missing)
        };
        let id = next(&self.ids, "ids")?.map_or_else(|| self.numbering.id(number), |id| id_of(&id))?;
        let body = next(&self.texts, "texts")?.filter(|body| !body.is_none());
        let text = body.map_or(Ok(String::new()), |body| body_of(&body, &id))?;
        let about = next(&self.metadata, "metadata")?;
        let about = about.map_or(Ok(None), |about| metadata(&about, &id))?;
        Ok(Document { id, text, metadata: about })
    }

    /// Checks that nothing is left.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        for (items, what) in [(&self.ids, "ids"), (&self.texts, "texts"), (&self.metadata, "metadata")] {
            let Some(items) = items else { continue };
            if items.bind(py).clone().next().transpose()?.is_some() {
                return Err(invalid(format!("{what} has more than {} entries, one per passage", self.read)));
            }
        }
        Ok(())
    }
}

/// Labels of passages whose embeddings are one array.
pub(crate) struct Labelled {
    labels: Labels,
    passages: usize,
}

impl Labelled {
    pub(crate) fn new(labels: Labels, passages: usize) -> Self {
        Self { labels, passages }
    }
}

impl Feed for Labelled {
    type Item = Document;

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Document>> {
        if self.labels.read == self.passages {
            return self.labels.finish(py).map(|()| None);
        }
        self.labels.next(py).map(Some)
    }
}

/// Embeddings of an iterable of arrays `(T, D)`, with their labels.
pub(crate) struct Embedded {
    embeddings: Py<PyIterator>,
    labels: Labels,
    dim: Option<usize>,
    /// The first embeddings, which were read for their dimension.
    first: Option<Vec<f32>>,
}

impl Embedded {
    /// Reads the first embeddings.
    pub(crate) fn new(py: Python<'_>, embeddings: &Bound<'_, PyAny>, labels: Labels) -> PyResult<Self> {
        let embeddings = iterator(embeddings, "embeddings", "an iterable of arrays (T, D)")?;
        let mut feed = Self { embeddings, labels, dim: None, first: None };
        feed.first = feed.rows(py)?;
        Ok(feed)
    }

    /// Dimension of the first embeddings; `None` if there are none.
    pub(crate) fn dim(&self) -> Option<usize> {
        self.dim
    }

    fn rows(&mut self, py: Python<'_>) -> PyResult<Option<Vec<f32>>> {
        let Some(item) = self.embeddings.bind(py).clone().next().transpose()? else { return Ok(None) };
        let named = |error: PyErr| {
            let name = format!("embeddings of passage {}", self.labels.read);
            error.value(py).setattr("args", (format!("{name}: {}", error.value(py)),)).map_or_else(|e| e, |()| error)
        };
        let rows = rows_of(&item).map_err(named)?;
        let dim = *self.dim.get_or_insert(rows.dim);
        match rows.dim == dim {
            true => Ok(Some(rows.data)),
            false => Err(invalid(format!(
                "embeddings of passage {} have dimension {}, those before {dim}",
                self.labels.read, rows.dim
            ))),
        }
    }
}

impl Feed for Embedded {
    type Item = EmbeddedDocument;

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<EmbeddedDocument>> {
        let embeddings = match self.first.take() {
            Some(first) => Some(first),
            None => self.rows(py)?,
        };
        let Some(embeddings) = embeddings else { return self.labels.finish(py).map(|()| None) };
        Ok(Some(EmbeddedDocument { document: self.labels.next(py)?, embeddings }))
    }
}

/// Iterator of an argument that is to be an iterable.
fn iterator(items: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyResult<Py<PyIterator>> {
    // Their items are characters, numbers and keys.
    let is_one = items.is_instance_of::<PyString>()
        || items.is_instance_of::<PyBytes>()
        || (items.is_instance_of::<PyDict>() && name != "ids");
    match items.try_iter() {
        Ok(items) if !is_one => Ok(items.unbind()),
        _ => Err(wrong_type(format!("{name} is a {}; give {expected}", type_name(items)))),
    }
}
