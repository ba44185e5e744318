//! `compress` with AVX-512: the portable body, compiled for it.

use super::portable;
use crate::Codec;

/// `embeddings (n, D) f32`, `codes (n) u32` -> `rows (n, W) u8`, `scales (n) u8`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(codec: &Codec, embeddings: &[f32], codes: &[u32], rows: &mut [u8], scales: &mut [u8]) {
    portable::run(codec, embeddings, codes, rows, scales);
}
