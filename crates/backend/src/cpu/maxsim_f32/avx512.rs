//! `maxsim_f32` with AVX-512: the AVX2 body.

pub(super) use super::avx2::run;
