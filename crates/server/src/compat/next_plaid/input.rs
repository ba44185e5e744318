//! Parts of requests of next-plaid's clients.

use crate::error::{ApiError, Result};
use crate::routes::input::{EmbeddingsInput, decoded};
use serde::Deserialize;

/// Embeddings of one text: rows of numbers, or base64 of little-endian f32 with a shape.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub(crate) struct PlaidEmbeddings {
    /// `T` rows of `D` numbers.
    embeddings: Option<Vec<Vec<f32>>>,
    /// The bytes of `(T, D)` f32 in base64.
    embeddings_b64: Option<String>,
    /// `[T, D]`.
    shape: Option<[usize; 2]>,
}

/// A query: its text, or its embeddings.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(super) enum PlaidQuery {
    /// A text, which the model encodes.
    Text(String),
    /// Embeddings that were made elsewhere.
    Embeddings(PlaidEmbeddings),
}

impl PlaidEmbeddings {
    /// Embeddings in the fields of another object.
    pub(super) fn new(rows: Option<Vec<Vec<f32>>>, base64: Option<String>, shape: Option<[usize; 2]>) -> Self {
        Self { embeddings: rows, embeddings_b64: base64, shape }
    }

    /// The embeddings `(T, D) f32` and `D`, at least one row.
    pub(super) fn rows(self) -> Result<(Vec<f32>, usize)> {
        let (rows, dim) = match (self.embeddings, self.embeddings_b64, self.shape) {
            (_, Some(base64), Some(shape)) => decoded(&base64, shape)?,
            (Some(rows), ..) => EmbeddingsInput::Rows(rows).rows()?,
            (None, ..) => return Err(ApiError::bad_request("give embeddings, or embeddings_b64 with shape")),
        };
        match rows.is_empty() {
            true => Err(ApiError::bad_request("the embeddings are empty")),
            false => Ok((rows, dim)),
        }
    }
}
