//! `decompress` with AVX-512: the AVX2 body, since the wider unpacking does not keep the order of components.

pub(super) use super::avx2::run;
