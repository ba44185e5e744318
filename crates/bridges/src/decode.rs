//! Decoding of a source's embeddings to f32.

use crate::repack::{GATHERED, Table, look_up, table};
use crate::source::{Block, Decoding, SourceCodec};
use rayon::prelude::*;

/// Groups of [`GATHERED`] embeddings that a thread takes at a time.
const GROUPS_PER_STEP: usize = 1 << 6;

/// Decoder of a source's embeddings to f32, by the source's own formula.
#[derive(Debug)]
pub struct Decoder {
    codec: SourceCodec,
    weights: Box<Table<f32>>,
}

impl Decoder {
    /// Prepares the tables of a codec.
    pub fn new(codec: &SourceCodec) -> Self {
        let weights = table(codec.nbits, |bucket| codec.weights[usize::from(bucket)]);
        Self { codec: codec.clone(), weights }
    }

    /// Components of an embedding.
    pub(crate) fn dim(&self) -> usize {
        self.codec.dim
    }

    /// Packed bytes of an embedding's residual.
    pub(crate) fn row_bytes(&self) -> usize {
        self.codec.row_bytes()
    }

    /// Decodes embeddings `(N, D) f32`, and appends them to `out`. Signs are scaled to unit length.
    pub fn decode(&self, block: &Block, out: &mut Vec<f32>) {
        let before = out.len();
        out.resize(before + block.codes.len() * self.codec.dim, 0.0);
        self.decode_into(&block.codes, &block.residuals, &mut out[before..]);
    }

    /// Decodes embeddings of `codes (N)` and packed `residuals (N, W)` to `rows (N, D)`.
    pub(crate) fn decode_into(&self, codes: &[u32], residuals: &[u8], rows: &mut [f32]) {
        match self.codec.nbits {
            1 => self.decode_rows::<8>(codes, residuals, rows),
            2 => self.decode_rows::<4>(codes, residuals, rows),
            4 => self.decode_rows::<2>(codes, residuals, rows),
            _ => self.decode_rows::<1>(codes, residuals, rows),
        }
    }

    fn decode_rows<const P: usize>(&self, codes: &[u32], residuals: &[u8], rows: &mut [f32]) {
        let SourceCodec { dim, ref centroids, decoding, .. } = self.codec;
        let groups = rows.par_chunks_mut(GATHERED * dim).zip(residuals.par_chunks(GATHERED * dim / P));
        let groups = groups.zip(codes.par_chunks(GATHERED)).with_min_len(GROUPS_PER_STEP);
        groups.for_each_init(
            || vec![0f32; dim],
            |w, ((rows, packed), codes)| {
                if decoding != Decoding::Signs {
                    for (row, &code) in rows.chunks_exact_mut(dim).zip(codes) {
                        row.copy_from_slice(&centroids[code as usize * dim..][..dim]);
                    }
                }
                for (row, packed) in rows.chunks_exact_mut(dim).zip(packed.chunks_exact(dim / P)) {
                    look_up::<_, P>(&self.weights, packed, w);
                    row.iter_mut().zip(w.iter()).for_each(|(x, w)| *x += w);
                    if decoding != Decoding::Sum {
                        let length = square(row).sqrt().max(1e-12);
                        row.iter_mut().for_each(|x| *x /= length);
                    }
                }
            },
        );
    }
}

/// Sum of squares, in eight sums side by side.
fn square(row: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for x in row.as_chunks::<8>().0 {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * x);
    }
    sums.iter().sum()
}
