//! Stores of points: documents that come with their embeddings, one after the other.
//!
//! **In:** a collection of another store. **Out:** [`Point`]s, from which `selvedge::build::from_embedded` builds an
//! index; memory holds some of them at a time.

#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "qdrant")]
pub mod qdrant;

use crate::Result;
use selvedge_index::Document;
#[cfg(any(feature = "parquet", feature = "qdrant"))]
use serde_json::{Map, Value};

/// Fields that hold a text where none is named, the first that a document has.
pub const TEXT_FIELDS: [&str; 6] = ["text", "content", "page_content", "document", "chunk", "body"];

/// A document with its embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Id, text and metadata; the text may be empty.
    pub document: Document,
    /// Embeddings `(tokens, D)`; there may be none.
    pub rows: Vec<f32>,
}

/// Description of a store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FoundPoints {
    /// Name of the program or format.
    pub format: &'static str,
    /// Number of components of an embedding.
    pub dim: usize,
    /// Number of points, which may change while they are read; `None` if it is unknown.
    pub points: Option<u64>,
    /// Name of the embeddings, where a store has several; empty for embeddings without a name.
    pub vector: String,
}

/// Points of a store.
pub trait Points: Iterator<Item = Result<Point>> {
    /// Description of the store.
    fn found(&self) -> &FoundPoints;
}

/// Takes the text out of a document's fields; what is left is its metadata.
#[cfg(any(feature = "parquet", feature = "qdrant"))]
fn document(id: String, mut fields: Map<String, Value>, text_field: Option<&str>) -> Document {
    let field = match text_field {
        Some(field) => Some(field),
        None => TEXT_FIELDS.into_iter().find(|&field| fields.get(field).is_some_and(Value::is_string)),
    };
    let text = field.and_then(|field| if fields.get(field)?.is_string() { fields.remove(field) } else { None });
    let text = text.and_then(|text| if let Value::String(text) = text { Some(text) } else { None });
    let metadata = (!fields.is_empty()).then_some(Value::Object(fields));
    Document { id, text: text.unwrap_or_default(), metadata }
}
