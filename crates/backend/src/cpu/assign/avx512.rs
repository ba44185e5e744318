//! The AVX2 body, for now.
pub(super) use super::avx2::run;
