//! Int8 rows that are shared, and the preconditions on int8 rows that a caller hands to a backend. Every backend checks
//! them here, so that all refuse the same rows.

use bytes::Bytes;
use rayon::prelude::*;
use std::fmt;
use std::ops::Deref;

/// Int8 rows, row-major, in memory or in a mapped file, which must not change. Clones share them.
#[derive(Clone, PartialEq, Eq)]
pub struct Int8Rows(Bytes);

impl From<Vec<i8>> for Int8Rows {
    fn from(rows: Vec<i8>) -> Self {
        // Collects into the memory of `rows`.
        Self(rows.into_iter().map(i8::cast_unsigned).collect::<Vec<u8>>().into())
    }
}

impl FromIterator<i8> for Int8Rows {
    fn from_iter<I: IntoIterator<Item = i8>>(components: I) -> Self {
        components.into_iter().collect::<Vec<_>>().into()
    }
}

/// Takes each byte for the component of its bits.
impl From<Bytes> for Int8Rows {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Deref for Int8Rows {
    type Target = [i8];

    fn deref(&self) -> &[i8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl fmt::Debug for Int8Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Components that a thread looks at, at a time.
const STEP: usize = 1 << 16;

/// Whether a component is -128. The minimum of all compiles to vector code, unlike a search that ends early. Few
/// components, such as a query's, take the caller's thread only.
pub(crate) fn has_minimum(components: &[i8]) -> bool {
    let is_in = |step: &[i8]| step.iter().fold(0, |least: i8, &component| least.min(component)) == i8::MIN;
    if components.len() <= STEP { is_in(components) } else { components.par_chunks(STEP).any(is_in) }
}

/// Checks rows of `dim` int8 components, such as a query's tokens. -128 is refused because kernels negate components,
/// and because their overflow proofs take 127 as the largest magnitude.
///
/// # Panics
/// If `rows` are not whole rows, or a component is -128.
pub(crate) fn assert_int8_rows(dim: usize, rows: &[i8]) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "{} components are not whole rows of {dim}", rows.len());
    assert!(!has_minimum(rows), "components are within -127..=127");
}

/// Checks the centroids that embeddings are assigned to, `(K, D) i8`.
///
/// # Panics
/// If `dim` is not a multiple of 4, `centroids` are not whole rows, or a component is -128.
pub(crate) fn assert_centroids(dim: usize, centroids: &[i8]) {
    assert!(dim.is_multiple_of(4), "centroids of {dim} components, not a multiple of 4");
    assert_int8_rows(dim, centroids);
}
