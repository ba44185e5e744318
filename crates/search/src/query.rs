//! Stage 1: checks of a query's embeddings. [`Backend::quantize_query`] then rotates them into the codec's space and
//! rounds them to int8 with one scale.
//!
//! [`Backend::quantize_query`]: selvedge_backend::Backend::quantize_query

use crate::{Error, Result};

/// Largest number of query tokens. Scores fit an i32 for any number, because similarities are shifted right by
/// `ceil(log2 Q)`; the limit bounds that loss of precision to 12 bits.
pub const MAX_QUERY_TOKENS: usize = 4096;

/// Largest absolute value of a component. Embeddings have about unit length; from about 1e25 on, rotation and scores
/// would overflow f32.
pub const MAX_COMPONENT: f32 = 1e12;

/// Checks `embeddings (Q, D) f32` of a query.
///
/// # Errors
/// - [`Error::DimMismatch`] if the number of components is not a multiple of `dim`.
/// - [`Error::QueryTooLong`] for more than [`MAX_QUERY_TOKENS`] tokens.
/// - [`Error::NotFinite`], [`Error::TooLarge`] for the first component that is NaN or infinite, or whose absolute value
///   is above [`MAX_COMPONENT`].
///
/// # Panics
/// If `dim` is 0.
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
