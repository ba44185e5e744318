//! Stage 1: checks of a query's embeddings. [`Backend::quantize_query`] then rotates them into the codec's space and
//! rounds them to int8 with one scale.
//!
//! [`Backend::quantize_query`]: selvedge_backend::Backend::quantize_query

use crate::{Error, Result};
use selvedge_backend::Embeddings;
pub use selvedge_backend::MAX_COMPONENT;

/// Largest number of query tokens. Scores fit an i32 for any number, because similarities are shifted right by
/// `ceil(log2 Q)`; the limit bounds that loss of precision to 12 bits.
pub const MAX_QUERY_TOKENS: usize = 4096;

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
    check_len(dim, embeddings.len())?;
    match embeddings.iter().position(|x| !x.is_finite() || x.abs() > MAX_COMPONENT) {
        Some(at) => Err(bad_component(at / dim, embeddings[at])),
        None => Ok(()),
    }
}

/// Checks embeddings as far as the host can see them. A device checks its own when they are searched.
pub(crate) fn check_embeddings(dim: usize, embeddings: Embeddings<'_>) -> Result<()> {
    match embeddings {
        Embeddings::Host(embeddings) => check(dim, embeddings),
        embeddings => check_len(dim, embeddings.len()),
    }
}

fn check_len(dim: usize, len: usize) -> Result<()> {
    if !len.is_multiple_of(dim) {
        return Err(Error::DimMismatch { expected: dim, found: len });
    }
    if len / dim > MAX_QUERY_TOKENS {
        return Err(Error::QueryTooLong { found: len / dim, limit: MAX_QUERY_TOKENS });
    }
    Ok(())
}

/// The error of a component that is not finite or too large.
pub(crate) fn bad_component(token: usize, component: f32) -> Error {
    match component.is_finite() {
        true => Error::TooLarge { token, component },
        false => Error::NotFinite { token },
    }
}
