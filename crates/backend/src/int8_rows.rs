//! The preconditions on int8 rows that a caller hands to a backend. Every backend checks them here, so that all refuse
//! the same rows.

/// Checks rows of `dim` int8 components, such as a query's tokens. -128 is refused because kernels negate components,
/// and because their overflow proofs take 127 as the largest magnitude.
///
/// # Panics
/// If `rows` are not whole rows, or a component is -128.
pub(crate) fn assert_int8_rows(dim: usize, rows: &[i8]) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "{} components are not whole rows of {dim}", rows.len());
    assert!(!rows.contains(&i8::MIN), "components are within -127..=127");
}

/// Checks the centroids that embeddings are assigned to, `(K, D) i8`.
///
/// # Panics
/// If `dim` is not a multiple of 4, `centroids` are not whole rows, or a component is -128.
pub(crate) fn assert_centroids(dim: usize, centroids: &[i8]) {
    assert!(dim.is_multiple_of(4), "centroids of {dim} components, not a multiple of 4");
    assert_int8_rows(dim, centroids);
}
