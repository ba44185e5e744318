//! Residuals of ColBERT's bit order in this project's, and the lengths of their embeddings.
//!
//! **In:** codes `(N) u32` and packed residuals `(N, W) u8`. **Out:** packed residuals `(N, W) u8` and weight indices
//! `(N) u8`.
//!
//! ```text
//! byte --table--> its buckets --> planes
//!      --table--> its levels w, with the centroid c --> <c, w>, <w, w> in i32 --> 1 / |c + w| --> weight index
//! ```
//!
//! Embeddings are not decoded: `|c + w|` needs only three dot products of int8, of which `<c, c>` is known by centroid.

use crate::source::Block;
use rayon::prelude::*;
use selvedge_backend::{CodecParams, Int8Rows, Packed};
use selvedge_codec::buckets::Lengths;
use selvedge_codec::pack;

/// Embeddings that a thread takes at a time.
const ROWS_PER_STEP: usize = 1 << 10;
/// Embeddings whose centroids are fetched together: they lie far apart in memory, and a processor waits for many of
/// them at once if nothing else comes between.
pub(crate) const GATHERED: usize = 16;

/// Values of the `8 / nbits` components of each byte, in order of components.
pub(crate) type Table<T> = [[T; 8]; 256];

/// Makes the table of a byte's values.
pub(crate) fn table<T: Copy + Default>(nbits: u8, of_bucket: impl Fn(u8) -> T) -> Box<Table<T>> {
    let per_byte = 8 / usize::from(nbits);
    let mut table = Box::new([[T::default(); 8]; 256]);
    for (byte, values) in (0..=255u8).zip(table.iter_mut()) {
        let buckets = pack::colbert_buckets(byte, nbits);
        (0..per_byte).for_each(|k| values[k] = of_bucket(buckets[k]));
    }
    table
}

/// Looks up the values of a row's components, `P` in a byte. `P` is a constant so that a byte's values are moved at
/// once.
pub(crate) fn look_up<T: Copy, const P: usize>(table: &Table<T>, packed: &[u8], out: &mut [T]) {
    for (values, &byte) in out.as_chunks_mut::<P>().0.iter_mut().zip(packed) {
        *values = *table[usize::from(byte)].first_chunk().expect("a byte has at most 8 components");
    }
}

/// Repacker of residuals, which also finds the length of each decoded embedding, in the integers of the codec.
pub(crate) struct Repacker {
    dim: usize,
    nbits: u8,
    levels: Box<Table<i16>>,
    buckets: Box<Table<u8>>,
    centroids: Int8Rows,
    /// `<c, c>` of each centroid.
    squares: Vec<i32>,
    /// Steps of centroids and of levels as real numbers.
    steps: (f32, f32),
}

impl Repacker {
    /// `level_step` is one step of `params.levels` as a real number.
    pub(crate) fn new(params: &CodecParams, level_step: f32) -> Self {
        let square = |c: &[i8]| c.iter().map(|&c| i32::from(c) * i32::from(c)).sum();
        Self {
            dim: params.dim,
            nbits: params.nbits,
            levels: table(params.nbits, |bucket| params.levels[usize::from(bucket)].into()),
            buckets: table(params.nbits, |bucket| bucket),
            centroids: params.centroids.clone(),
            squares: params.centroids.chunks_exact(params.dim).map(square).collect(),
            steps: (params.centroid_scale, level_step),
        }
    }

    /// Returns `1 / |c + w|` of each embedding.
    pub(crate) fn inverse_lengths(&self, block: &Block) -> Vec<f32> {
        let mut inverse = vec![0f32; block.codes.len()];
        match self.nbits {
            1 => self.each_length::<_, 8>(block, &mut inverse, |x| x),
            2 => self.each_length::<_, 4>(block, &mut inverse, |x| x),
            4 => self.each_length::<_, 2>(block, &mut inverse, |x| x),
            _ => self.each_length::<_, 1>(block, &mut inverse, |x| x),
        }
        inverse
    }

    /// Repacks residuals to planes, and chooses weight indices by `lengths`, in place of what `out` held.
    pub(crate) fn repack(&self, block: &Block, lengths: Option<Lengths>, out: &mut Packed) {
        out.residuals.resize(block.residuals.len(), 0);
        out.weights.resize(lengths.map_or(0, |_| block.codes.len()), 0);
        match self.nbits {
            1 => self.repack_rows::<8>(block, lengths, out),
            2 => self.repack_rows::<4>(block, lengths, out),
            4 => self.repack_rows::<2>(block, lengths, out),
            _ => self.repack_rows::<1>(block, lengths, out),
        }
    }

    fn repack_rows<const P: usize>(&self, block: &Block, lengths: Option<Lengths>, out: &mut Packed) {
        let width = self.dim / P;
        let steps = out.residuals.par_chunks_mut(ROWS_PER_STEP * width);
        steps.zip(block.residuals.par_chunks(ROWS_PER_STEP * width)).for_each(|(out, packed)| {
            let mut row = vec![0u8; self.dim];
            for (out, packed) in out.chunks_exact_mut(width).zip(packed.chunks_exact(width)) {
                look_up::<_, P>(&self.buckets, packed, &mut row);
                to_planes::<P>(&row, out);
            }
        });
        if let Some(lengths) = lengths {
            self.each_length::<_, P>(block, &mut out.weights, |inverse| lengths.index(inverse));
        }
    }

    /// Writes a value of `1 / |c + w|` of each embedding.
    fn each_length<T: Send, const P: usize>(&self, block: &Block, out: &mut [T], of: impl Fn(f32) -> T + Sync) {
        let width = self.dim / P;
        let packed = block.residuals.par_chunks(ROWS_PER_STEP * width);
        let codes = block.codes.par_chunks(ROWS_PER_STEP);
        out.par_chunks_mut(ROWS_PER_STEP).zip(packed).zip(codes).for_each(|((out, packed), codes)| {
            let mut centroids = vec![0i8; GATHERED * self.dim];
            let (mut c, mut w) = (vec![0i16; self.dim], vec![0i16; self.dim]);
            let groups = out.chunks_mut(GATHERED).zip(packed.chunks(GATHERED * width)).zip(codes.chunks(GATHERED));
            for ((out, packed), codes) in groups {
                for (copy, &code) in centroids.chunks_exact_mut(self.dim).zip(codes) {
                    copy.copy_from_slice(&self.centroids[code as usize * self.dim..][..self.dim]);
                }
                let rows = packed.chunks_exact(width).zip(centroids.chunks_exact(self.dim));
                for ((out, &code), (packed, centroid)) in out.iter_mut().zip(codes).zip(rows) {
                    c.iter_mut().zip(centroid).for_each(|(c, &x)| *c = x.into());
                    look_up::<_, P>(&self.levels, packed, &mut w);
                    *out = of(self.inverse_length(self.squares[code as usize], dot(&c, &w), dot(&w, &w)));
                }
            }
        });
    }

    /// Returns `1 / |c + w|` of `<c, c>`, `<c, w>` and `<w, w>`.
    fn inverse_length(&self, cc: i32, cw: i32, ww: i32) -> f32 {
        let (s, t) = self.steps;
        let square = s * s * cc as f32 + 2.0 * s * t * cw as f32 + t * t * ww as f32;
        1.0 / square.max(1e-12).sqrt()
    }
}

/// Dot product of components of int8: a sum of at most 2^15 products of at most 2^14 each. They are held as i16, of
/// which a processor multiplies and adds pairs in one instruction.
fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Packs buckets `(D)` to planes `(W)`: field `k` of byte `j` is the bucket of component `k * W + j`.
fn to_planes<const P: usize>(buckets: &[u8], out: &mut [u8]) {
    let width = out.len();
    out.copy_from_slice(&buckets[..width]);
    for k in 1..P {
        let plane = &buckets[k * width..][..width];
        out.iter_mut().zip(plane).for_each(|(out, bucket)| *out |= bucket << (k * 8 / P));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decoder;
    use crate::source::{Decoding, SourceCodec};
    use selvedge_backend::{ResidualForm, RowCoding, WeightRule};

    /// A codec whose levels are their buckets, about zero.
    fn params(nbits: u8) -> CodecParams {
        let buckets = 1i32 << nbits;
        CodecParams {
            dim: 16,
            nbits,
            centroids: (0..32i8).collect::<Vec<_>>().into(),
            centroid_scale: 0.01,
            coding: RowCoding::Buckets,
            levels: (0..buckets).map(|b| (b - buckets / 2).max(-127) as i8).collect(),
            cutoffs: (1..buckets).map(|b| b as f32).collect(),
            form: ResidualForm::Raw,
            rule: WeightRule::UnitNorm,
            rotation: None,
            weight_bits: 0,
            centroid_weights: vec![1],
            residual_weights: vec![1],
            centroid_weight_step: 1.0,
            residual_weight_step: 0.02,
        }
    }

    #[test]
    fn rows_are_repacked_as_the_codec_crate_does() {
        for nbits in [1u8, 2, 4, 8] {
            let row_bytes = 2 * usize::from(nbits);
            let block = block(&params(nbits), 2500);
            // What the buffers held before is gone.
            let mut packed = Packed { residuals: vec![255; 100_000], weights: vec![1] };
            Repacker::new(&params(nbits), 0.02).repack(&block, None, &mut packed);
            let expected: Vec<u8> =
                block.residuals.chunks_exact(row_bytes).flat_map(|row| pack::from_colbert(row, nbits)).collect();
            assert!(packed.residuals == expected && packed.weights.is_empty(), "{nbits} bits");
        }
    }

    /// Rows of several steps and groups, whose codes are far apart.
    fn block(params: &CodecParams, rows: u32) -> Block {
        let width = params.dim * usize::from(params.nbits) / 8;
        let residuals = (0..width as u32 * rows).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
        Block { codes: (0..rows).map(|i| i * 7 % params.num_centroids() as u32).collect(), residuals }
    }

    #[test]
    fn lengths_are_exactly_those_of_the_naive_formula() {
        for nbits in [1u8, 2, 4, 8] {
            let params = CodecParams { dim: 24, centroids: (-120..120).collect::<Vec<i8>>().into(), ..params(nbits) };
            let block = block(&params, 2500);
            let found = Repacker::new(&params, 0.02).inverse_lengths(&block);
            let (s, t) = (params.centroid_scale, 0.02f32);
            for ((row, &code), found) in
                block.residuals.chunks_exact(3 * usize::from(nbits)).zip(&block.codes).zip(found)
            {
                let row = pack::from_colbert(row, nbits);
                let (mut cc, mut cw, mut ww) = (0i32, 0i32, 0i32);
                for d in 0..params.dim {
                    let c = i32::from(params.centroids[code as usize * params.dim + d]);
                    let w = i32::from(params.levels[usize::from(selvedge_backend::bucket(&row, nbits, d))]);
                    (cc, cw, ww) = (cc + c * c, cw + c * w, ww + w * w);
                }
                let square = s * s * cc as f32 + 2.0 * s * t * cw as f32 + t * t * ww as f32;
                assert_eq!(found, 1.0 / square.max(1e-12).sqrt(), "{nbits} bits");
            }
        }
    }

    #[test]
    fn lengths_are_those_of_the_decoded_embeddings() {
        for nbits in [1u8, 2, 4, 8] {
            let params = params(nbits);
            let real = |x: &[i8], step: f32| x.iter().map(|&x| f32::from(x) * step).collect::<Vec<f32>>();
            let codec = SourceCodec {
                dim: 16,
                nbits,
                centroids: real(&params.centroids, 0.01),
                cutoffs: params.cutoffs.clone(),
                weights: real(&params.levels, 0.02),
                decoding: Decoding::Sum,
            };
            let residuals: Vec<u8> = (0..4 * u32::from(nbits)).map(|i| (i * 83 + 5) as u8).collect();
            let block = Block { codes: vec![1, 0], residuals };
            let mut rows = Vec::new();
            Decoder::new(&codec).decode(&block, &mut rows);
            let inverse = Repacker::new(&params, 0.02).inverse_lengths(&block);
            for (row, inverse) in rows.chunks_exact(16).zip(inverse) {
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                assert!((length * inverse - 1.0).abs() < 1e-4, "{nbits} bits: {length} and {inverse}");
            }
        }
    }
}
