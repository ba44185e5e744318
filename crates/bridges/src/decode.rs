//! Packed residuals of ColBERT's bit order, byte by byte: decoding to f32, and repacking to this project's order.

use crate::source::{Block, Decoding, SourceCodec};
use rayon::prelude::*;
use selvedge_codec::buckets::Lengths;
use selvedge_codec::pack;

/// Embeddings that a thread takes at a time.
const ROWS_PER_STEP: usize = 1 << 10;

/// Values of the `8 / nbits` components of each byte, in order of components.
fn table<T: Copy + Default>(nbits: u8, of_bucket: impl Fn(u8) -> T) -> Vec<[T; 8]> {
    let per_byte = 8 / usize::from(nbits);
    let entry = |byte: u8| {
        let buckets = pack::colbert_buckets(byte, nbits);
        let mut values = [T::default(); 8];
        (0..per_byte).for_each(|k| values[k] = of_bucket(buckets[k]));
        values
    };
    (0..=255u8).map(entry).collect()
}

/// Decoder of a source's embeddings to f32, by the source's own formula.
#[derive(Debug)]
pub struct Decoder {
    codec: SourceCodec,
    weights: Vec<[f32; 8]>,
}

impl Decoder {
    /// Prepares the tables of a codec.
    pub fn new(codec: &SourceCodec) -> Self {
        let weights = table(codec.nbits, |bucket| codec.weights[usize::from(bucket)]);
        Self { codec: codec.clone(), weights }
    }

    /// Decodes embeddings `(N, D) f32`, and appends them to `out`. Signs are scaled to unit length.
    pub fn decode(&self, block: &Block, out: &mut Vec<f32>) {
        let SourceCodec { dim, nbits, decoding, .. } = self.codec;
        let per_byte = 8 / usize::from(nbits);
        let before = out.len();
        out.resize(before + block.codes.len() * dim, 0.0);
        let rows = out[before..].par_chunks_exact_mut(dim).with_min_len(ROWS_PER_STEP);
        let packed = block.residuals.par_chunks_exact(self.codec.row_bytes());
        rows.zip(packed).zip(&block.codes).for_each(|((row, packed), &code)| {
            for (components, &byte) in row.chunks_exact_mut(per_byte).zip(packed) {
                components.copy_from_slice(&self.weights[usize::from(byte)][..per_byte]);
            }
            if decoding != Decoding::Signs {
                let centroid = &self.codec.centroids[code as usize * dim..][..dim];
                row.iter_mut().zip(centroid).for_each(|(x, c)| *x += c);
            }
            if decoding != Decoding::Sum {
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                row.iter_mut().for_each(|x| *x /= length.max(1e-12));
            }
        });
    }
}

/// Repacker of residuals, which also finds the length of each decoded embedding, in the integers of the codec.
pub(crate) struct Repacker {
    dim: usize,
    nbits: u8,
    levels: Vec<[i8; 8]>,
    buckets: Vec<[u8; 8]>,
    centroids: Vec<i8>,
    /// `<c, c>` of each centroid.
    squares: Vec<i32>,
    /// Steps of centroids and of levels as real numbers.
    steps: (f32, f32),
}

impl Repacker {
    /// `level_step` is one step of `params.levels` as a real number.
    pub(crate) fn new(params: &selvedge_backend::CodecParams, level_step: f32) -> Self {
        let square = |row: &[i8]| row.iter().map(|&c| i32::from(c) * i32::from(c)).sum();
        Self {
            dim: params.dim,
            nbits: params.nbits,
            levels: table(params.nbits, |bucket| params.levels[usize::from(bucket)]),
            buckets: table(params.nbits, |bucket| bucket),
            centroids: params.centroids.to_vec(),
            squares: params.centroids.chunks_exact(params.dim).map(square).collect(),
            steps: (params.centroid_scale, level_step),
        }
    }

    /// Returns `1 / |c + w|` of each embedding.
    pub(crate) fn inverse_lengths(&self, block: &Block) -> Vec<f32> {
        let row_bytes = self.dim * usize::from(self.nbits) / 8;
        let packed = block.residuals.par_chunks_exact(row_bytes).with_min_len(ROWS_PER_STEP);
        packed
            .zip(&block.codes)
            .map_init(|| vec![0i8; self.dim], |w, (row, &code)| self.inverse(row, code, w))
            .collect()
    }

    fn inverse(&self, packed: &[u8], code: u32, w: &mut [i8]) -> f32 {
        let per_byte = 8 / usize::from(self.nbits);
        for (levels, &byte) in w.chunks_exact_mut(per_byte).zip(packed) {
            levels.copy_from_slice(&self.levels[usize::from(byte)][..per_byte]);
        }
        let c = &self.centroids[code as usize * self.dim..][..self.dim];
        // Sums of at most 2^15 products below 2^14 each.
        let cw: i32 = c.iter().zip(w.iter()).map(|(&c, &w)| i32::from(i16::from(c) * i16::from(w))).sum();
        let ww: i32 = w.iter().map(|&w| i32::from(i16::from(w) * i16::from(w))).sum();
        let (s, t) = self.steps;
        let square = s * s * self.squares[code as usize] as f32 + 2.0 * s * t * cw as f32 + t * t * ww as f32;
        1.0 / square.max(1e-12).sqrt()
    }

    /// Repacks residuals to planes, and chooses weight indices by `lengths`.
    pub(crate) fn repack(&self, block: &Block, lengths: Option<Lengths>) -> selvedge_backend::Packed {
        let row_bytes = self.dim * usize::from(self.nbits) / 8;
        let per_byte = 8 / usize::from(self.nbits);
        let mut residuals = vec![0u8; block.residuals.len()];
        let rows = residuals.par_chunks_exact_mut(row_bytes).with_min_len(ROWS_PER_STEP);
        rows.zip(block.residuals.par_chunks_exact(row_bytes)).for_each_init(
            || vec![0u8; self.dim],
            |row, (out, packed)| {
                for (buckets, &byte) in row.chunks_exact_mut(per_byte).zip(packed) {
                    buckets.copy_from_slice(&self.buckets[usize::from(byte)][..per_byte]);
                }
                // Field `k` of byte `j` is the bucket of component `k * W + j`.
                for (k, plane) in row.chunks_exact(row_bytes).enumerate() {
                    out.iter_mut().zip(plane).for_each(|(out, bucket)| *out |= bucket << (k * usize::from(self.nbits)));
                }
            },
        );
        let index = |lengths: Lengths| self.inverse_lengths(block).into_iter().map(|x| lengths.index(x)).collect();
        selvedge_backend::Packed { residuals, weights: lengths.map(index).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_backend::{CodecParams, ResidualForm, RowCoding, WeightRule};

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
            let residuals: Vec<u8> = (0..row_bytes as u32 * 3).map(|i| (i * 151 + 7) as u8).collect();
            let block = Block { codes: vec![0, 1, 0], residuals };
            let packed = Repacker::new(&params(nbits), 0.02).repack(&block, None);
            let expected: Vec<u8> =
                block.residuals.chunks_exact(row_bytes).flat_map(|row| pack::from_colbert(row, nbits)).collect();
            assert_eq!(packed.residuals, expected, "{nbits} bits");
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
