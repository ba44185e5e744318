//! `compress` in plain Rust, in loops of eight and 32; the AVX2 and AVX-512 bodies are this one, compiled for them.

use super::{
    lanes::LANES,
    steps::{Weights, bucket_levels, centroid, components, midpoints, pack, quantize},
    trellis::Trellis,
};
use crate::{CodecParams, RowCoding, WeightRule};

/// `embeddings (n, D) f32`, `codes (n) u32` -> `rows (n, W) u8`, `weights (n) u8`.
#[inline(always)]
pub(super) fn run(codec: &CodecParams, embeddings: &[f32], codes: &[u32], rows: &mut [u8], weights: &mut [u8]) {
    match (codec.coding, codec.nbits) {
        (RowCoding::Trellis { step }, 1) => {
            trellis_rows(codec, Trellis::<1>::new(codec, step), embeddings, codes, rows, weights);
        }
        (RowCoding::Trellis { step }, 2) => {
            trellis_rows(codec, Trellis::<2>::new(codec, step), embeddings, codes, rows, weights);
        }
        (RowCoding::Trellis { .. }, nbits) => panic!("a trellis has 1 or 2 bits, not {nbits}"),
        (RowCoding::Buckets, _) => bucket_rows(codec, embeddings, codes, rows, weights),
    }
}

/// Rows of buckets, embedding by embedding.
#[inline(always)]
fn bucket_rows(codec: &CodecParams, embeddings: &[f32], codes: &[u32], rows: &mut [u8], weights: &mut [u8]) {
    let (dim, width) = (codec.dim, codec.row_bytes());
    let table = Weights::new(codec);
    let (midpoints, level_of) = (midpoints(codec), bucket_levels(codec));
    let mut c = vec![0f32; dim];
    let mut compared = vec![0f32; dim];
    let mut buckets = vec![0u8; dim];
    let mut levels = vec![0f32; dim];
    for (i, (x, &code)) in embeddings.chunks_exact(dim).zip(codes).enumerate() {
        let row = &mut rows[i * width..(i + 1) * width];
        centroid(codec, code, &mut c);
        if codec.nbits > 0 {
            components(codec.form, x, &c, &mut compared);
            quantize(&codec.cutoffs, &compared, &mut buckets);
            levels.iter_mut().zip(&buckets).for_each(|(w, &bucket)| *w = level_of[usize::from(bucket)]);
            pack(codec.nbits, &buckets, row);
        }
        weights[i] = table.choose(codec.rule, x, &c, &levels);
        if codec.nbits > 0 && codec.rule == WeightRule::KeepLengthRefit {
            table.refit(weights[i], x, &c, &mut compared);
            quantize(&midpoints, &compared, &mut buckets);
            pack(codec.nbits, &buckets, row);
        }
    }
}

/// Rows of a trellis, searched in all lanes at once.
#[inline(always)]
fn trellis_rows<const NBITS: usize>(
    codec: &CodecParams,
    mut trellis: Trellis<NBITS>,
    embeddings: &[f32],
    codes: &[u32],
    rows: &mut [u8],
    weights: &mut [u8],
) {
    let (dim, width) = (codec.dim, codec.row_bytes());
    let table = Weights::new(codec);
    let mut c = vec![0f32; dim];
    let mut compared = vec![0f32; dim];
    let mut levels = vec![0f32; dim];
    for first in (0..codes.len()).step_by(LANES) {
        let group = first..codes.len().min(first + LANES);
        for i in group.clone() {
            centroid(codec, codes[i], &mut c);
            components(codec.form, &embeddings[i * dim..][..dim], &c, &mut compared);
            trellis.put(i - first, &compared);
        }
        // Lanes after the last embedding find rows that are not used.
        trellis.search();
        for i in group {
            centroid(codec, codes[i], &mut c);
            trellis.get(i - first, &mut rows[i * width..][..width], &mut levels);
            weights[i] = table.choose(codec.rule, &embeddings[i * dim..][..dim], &c, &levels);
        }
    }
}
