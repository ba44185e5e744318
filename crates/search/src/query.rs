//! Stage 1: what a query's embeddings must be before [`Backend::quantize_query`] rotates them into the codec's space and
//! rounds them to int8 with one scale.
//!
//! [`Backend::quantize_query`]: selvedge_backend::Backend::quantize_query

use crate::{Error, Result};

/// Longest query: the sum of its tokens' shifted similarities stays inside an i32 for any length, but
/// each doubling costs one bit of every similarity, and nobody's query is longer.
pub const MAX_QUERY_TOKENS: usize = 4096;

/// Largest component: embeddings have about unit length, and from about 1e25 on rotations and scores would overflow.
pub const MAX_COMPONENT: f32 = 1e12;

/// Checks `embeddings (Q, D) f32`.
///
/// # Errors
/// A length that is no multiple of `dim`, too many tokens, and a component that is not finite or above [`MAX_COMPONENT`].
pub fn check(dim: usize, embeddings: &[f32]) -> Result<()> {
    if !embeddings.len().is_multiple_of(dim) {
        return Err(Error::DimMismatch { expected: dim, found: embeddings.len() });
    }
    if embeddings.len() / dim > MAX_QUERY_TOKENS {
        return Err(Error::QueryTooLong { found: embeddings.len() / dim, limit: MAX_QUERY_TOKENS });
    }
    match embeddings.iter().position(|x| !x.is_finite() || x.abs() > MAX_COMPONENT) {
        Some(at) if embeddings[at].is_finite() => Err(Error::TooLarge { token: at / dim, component: embeddings[at] }),
        Some(at) => Err(Error::NotFinite { token: at / dim }),
        None => Ok(()),
    }
}
