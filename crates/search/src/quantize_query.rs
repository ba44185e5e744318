//! Stage 1: a query's embeddings, rotated into the codec's space and rounded to int8 with one scale.

use crate::{Error, Result};
use selvedge_backend::{CheckedCodec, QuantizedQuery};

/// Longest query: the sum of its tokens' shifted similarities stays inside an i32 for any length, but
/// each doubling costs one bit of every similarity, and nobody's query is longer.
pub const MAX_QUERY_TOKENS: usize = 4096;

/// Largest component: embeddings have about unit length, and from about 1e25 on rotations and scores would overflow.
pub const MAX_COMPONENT: f32 = 1e12;

/// `embeddings (Q, D) f32` -> `(Q, D) i8`.
pub fn quantize_query(codec: &CheckedCodec, embeddings: &[f32]) -> Result<QuantizedQuery> {
    let dim = codec.dim;
    if !embeddings.len().is_multiple_of(dim) {
        return Err(Error::DimMismatch { expected: dim, found: embeddings.len() });
    }
    if embeddings.len() / dim > MAX_QUERY_TOKENS {
        return Err(Error::QueryTooLong { found: embeddings.len() / dim, limit: MAX_QUERY_TOKENS });
    }
    match embeddings.iter().position(|x| !x.is_finite() || x.abs() > MAX_COMPONENT) {
        Some(at) if embeddings[at].is_finite() => Err(Error::TooLarge { token: at / dim, component: embeddings[at] }),
        Some(at) => Err(Error::NotFinite { token: at / dim }),
        None => Ok(codec.quantize_query(embeddings)),
    }
}
