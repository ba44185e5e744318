//! `compress` in plain Rust, in loops of eight; the AVX2 body is this one, compiled for AVX2.

use super::{
    steps::{Scales, centroid, components, midpoints, pack, quantize},
    trellis::Trellis,
};
use crate::{Codec, ScaleRule};

/// `embeddings (n, D) f32`, `codes (n) u32` -> `rows (n, W) u8`, `scales (n) u8`.
#[inline(always)]
pub(super) fn run(codec: &Codec, embeddings: &[f32], codes: &[u32], rows: &mut [u8], scales: &mut [u8]) {
    let (dim, width) = (codec.dim, codec.row_bytes());
    let table = Scales::new(codec);
    let midpoints = midpoints(codec);
    let (mut one_bit, mut two_bits) = (Trellis::<1>::new(codec), Trellis::<2>::new(codec));
    let mut c = vec![0f32; dim];
    let mut compared = vec![0f32; dim];
    let mut buckets = vec![0u8; dim];
    let mut levels = vec![0f32; dim];
    for (i, (x, &code)) in embeddings.chunks_exact(dim).zip(codes).enumerate() {
        let row = &mut rows[i * width..(i + 1) * width];
        centroid(codec, code, &mut c);
        if codec.nbits > 0 {
            components(codec.form, x, &c, &mut compared);
        }
        if let Some(trellis) = &mut one_bit {
            trellis.quantize(&compared, row, &mut levels);
        } else if let Some(trellis) = &mut two_bits {
            trellis.quantize(&compared, row, &mut levels);
        } else if codec.nbits > 0 {
            quantize(&codec.cutoffs, &compared, &mut buckets);
            levels.iter_mut().zip(&buckets).for_each(|(w, &bucket)| *w = f32::from(codec.levels[bucket as usize]));
            pack(codec.nbits, &buckets, row);
        }
        scales[i] = table.choose(codec.rule, x, &c, &levels);
        if codec.nbits > 0 && codec.rule == ScaleRule::KeepLengthRefit {
            table.refit(scales[i], x, &c, &mut compared);
            quantize(&midpoints, &compared, &mut buckets);
            pack(codec.nbits, &buckets, row);
        }
    }
}
