//! `compress` with AVX2: the portable body, whose loops of eight f32 become single registers, and those of 32 u16 two.

use super::portable;
use crate::Codec;

/// `embeddings (n, D) f32`, `codes (n) u32` -> `rows (n, W) u8`, `scales (n) u8`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(codec: &Codec, embeddings: &[f32], codes: &[u32], rows: &mut [u8], scales: &mut [u8]) {
    portable::run(codec, embeddings, codes, rows, scales);
}
