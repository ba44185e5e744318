//! Compression of embeddings to packed residuals and weight indices. `embeddings (N, D) f32`, `codes (N) u32` ->
//! `residuals (N, W) u8`, `weights (N) u8`. For each embedding `x` with centroid `c`:
//!
//! 1. components: the residual, or the part of `x` orthogonal to `c`, scaled to length `sqrt(D)`
//!    ([`crate::ResidualForm`]);
//! 2. bucket of each component: the number of cutoffs below it; or, for a trellis, the row nearest to all components;
//! 3. the weight index, by the codec's rule ([`crate::WeightRule`]); one rule then chooses the buckets anew;
//! 4. buckets to bytes, plane by plane (see [`crate::packed_row_bytes`]).
//!
//! Each step is a function in `steps.rs`, for one embedding; the trellis is in `trellis.rs`, for 32 at once.

mod lanes;
mod portable;
mod steps;
mod trellis;

use crate::{CheckedCodec, CodecParams, Isa, Packed};
use rayon::prelude::*;

autovectorize! {
    fn run(codec: &CodecParams, embeddings: &[f32], codes: &[u32], rows: &mut [u8], weights: &mut [u8])
}

/// Embeddings per task.
const BLOCK_EMBEDDINGS: usize = 256;

/// Compresses embeddings; see [`crate::Backend::compress`].
///
/// # Panics
/// If there is not one code for each embedding, or a code is not below `K`.
pub(super) fn compress(isa: Isa, codec: &CheckedCodec, embeddings: &[f32], codes: &[u32]) -> Packed {
    assert_eq!(embeddings.len(), codes.len() * codec.dim, "one code for each embedding");
    let width = codec.row_bytes();
    let mut packed = Packed { residuals: vec![0; codes.len() * width], weights: vec![0; codes.len()] };
    let mut rest = packed.residuals.as_mut_slice();
    let rows = |codes: &[u32]| rest.split_off_mut(..codes.len() * width).expect("a row for each code");
    let rows: Vec<&mut [u8]> = codes.chunks(BLOCK_EMBEDDINGS).map(rows).collect();
    let outputs = rows.into_par_iter().zip(packed.weights.par_chunks_mut(BLOCK_EMBEDDINGS));
    let inputs = embeddings.par_chunks(BLOCK_EMBEDDINGS * codec.dim).zip(codes.par_chunks(BLOCK_EMBEDDINGS));
    outputs.zip(inputs).for_each(|((rows, weights), (embeddings, codes))| {
        dispatch!(isa, codec, embeddings, codes, rows, weights);
    });
    packed
}
