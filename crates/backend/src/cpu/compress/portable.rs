//! `compress` in plain Rust, in loops of eight; the AVX2 body is this one, compiled for AVX2.

use super::steps::{Scales, centroid, components, midpoints, pack, quantize};
use crate::{Codec, ScaleRule};

/// `embeddings (n, D) f32`, `codes (n) u32` -> `rows (n, W) u8`, `scales (n) u8`.
#[inline(always)]
pub(super) fn run(codec: &Codec, embeddings: &[f32], codes: &[u32], rows: &mut [u8], scales: &mut [u8]) {
    let (dim, width) = (codec.dim, codec.row_bytes());
    let table = Scales::new(codec);
    let midpoints = midpoints(codec);
    let mut c = vec![0f32; dim];
    let mut compared = vec![0f32; dim];
    let mut buckets = vec![0u8; dim];
    let mut levels = vec![0f32; dim];
    for (i, (x, &code)) in embeddings.chunks_exact(dim).zip(codes).enumerate() {
        centroid(codec, code, &mut c);
        if codec.nbits > 0 {
            components(codec.form, x, &c, &mut compared);
            quantize(&codec.cutoffs, &compared, &mut buckets);
            levels.iter_mut().zip(&buckets).for_each(|(w, &bucket)| *w = f32::from(codec.levels[bucket as usize]));
        }
        scales[i] = table.choose(codec.rule, x, &c, &levels);
        if codec.nbits > 0 {
            if codec.rule == ScaleRule::KeepLengthRefit {
                table.refit(scales[i], x, &c, &mut compared);
                quantize(&midpoints, &compared, &mut buckets);
            }
            pack(codec.nbits, &buckets, &mut rows[i * width..(i + 1) * width]);
        }
    }
}
