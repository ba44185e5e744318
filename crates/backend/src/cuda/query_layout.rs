//! A query in device memory, in two layouts: rows as `centroid_table` reads them, and the order in which `maxsim`
//! unpacks the levels of a residual row (kernels/levels.cuh, kernels/rows.cuh).

use super::{
    constants::{CHUNK, PANEL, TILE_COLUMNS, TILE_DEPTH},
    context::{Buffer, Context},
    resident::LoadedCodec,
    table::largest_norm,
};
use crate::{CodecParams, QuantizedQuery, Result, int8_rows::assert_int8_rows, packed_row_bytes};
use std::sync::Arc;

/// Lanes that share a column of a product.
const SHARING: usize = TILE_DEPTH / CHUNK;

/// A rounded query in device memory, arranged for the passages of one codec.
#[derive(Debug)]
pub struct Query {
    dim: usize,
    nbits: u8,
    len: usize,
    scale: f32,
    score_unit: f32,
    /// `(Q, D) i8`.
    pub(super) rows: Buffer<i8>,
    /// The rows in the order of [`arrange`].
    pub(super) arranged: Buffer<i8>,
    /// Largest squared length of a row.
    pub(super) norm: Arc<Buffer<u32>>,
}

impl Query {
    /// Uploads `query`.
    ///
    /// # Panics
    /// If the codec has another dim or is of another `Cuda`, or the query is not whole rows or has a component of -128.
    pub(super) fn new(context: &Arc<Context>, codec: &LoadedCodec, query: &QuantizedQuery) -> Result<Self> {
        let host = &codec.host;
        codec.centroids.assert_of(context);
        assert_eq!(query.dim, host.dim, "the query's dim is the codec's");
        assert_int8_rows(query.dim, &query.data);
        Ok(Self {
            dim: host.dim,
            nbits: host.nbits,
            len: query.len(),
            scale: query.scale,
            score_unit: host.score_unit(query),
            rows: context.upload(&query.data)?,
            arranged: context.upload(&arrange(host.dim, host.nbits, &query.data))?,
            norm: Arc::new(context.upload(&[largest_norm(host.dim, &query.data)])?),
        })
    }

    /// A query that the device has rounded and arranged.
    pub(super) fn of_device(
        codec: &CodecParams,
        (rows, arranged, norm): (Buffer<i8>, Buffer<i8>, Buffer<u32>),
        len: usize,
        scale: f32,
    ) -> Self {
        let score_unit = codec.score_unit_of(len, scale);
        let norm = Arc::new(norm);
        Self { dim: codec.dim, nbits: codec.nbits, len, scale, score_unit, rows, arranged, norm }
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Factor that turns an integer score into a real MaxSim score.
    pub(super) fn score_unit(&self) -> f32 {
        self.score_unit
    }

    /// Downloads the query.
    pub(super) fn download(&self) -> Result<QuantizedQuery> {
        Ok(QuantizedQuery { dim: self.dim, data: self.rows.download()?, scale: self.scale })
    }

    /// Checks that the query fits passages of `codec` and belongs to `context`.
    ///
    /// # Panics
    /// If its dim or nbits differ from the codec's, or it belongs to another context.
    pub(super) fn assert_for(&self, context: &Arc<Context>, codec: &CodecParams) {
        self.rows.assert_of(context);
        assert_eq!((self.dim, self.nbits), (codec.dim, codec.nbits), "the query's dim and bits are the codec's");
    }
}

/// Bytes of an arranged query.
pub(super) fn arranged_len(dim: usize, query_len: usize) -> usize {
    query_len.next_multiple_of(PANEL) * dim.next_multiple_of(CHUNK * SHARING)
}

/// Arranges `query (Q, D) i8` as `(tiles, steps, 8, 4, 8) i8`: for each tile of 8 rows of whole panels, each step of
/// 32 components and each lane `(g, t)`, chunk `t * steps + step` of the tile's row `g`. Rows after the last row and
/// chunks after the last chunk are zeros.
fn arrange(dim: usize, nbits: u8, query: &[i8]) -> Vec<i8> {
    let (query_len, steps) = (query.len() / dim, dim.div_ceil(CHUNK * SHARING));
    let mut arranged = Vec::with_capacity(arranged_len(dim, query_len));
    for tile in (0..query_len.next_multiple_of(PANEL)).step_by(TILE_COLUMNS) {
        for step in 0..steps {
            for lane in 0..TILE_COLUMNS * SHARING {
                let (row, chunk) = (tile + lane / SHARING, lane % SHARING * steps + step);
                let there = row < query_len && chunk < dim / CHUNK;
                let component = |i| if there { query[row * dim + component(dim, nbits, chunk, i)] } else { 0 };
                arranged.extend((0..CHUNK).map(component));
            }
        }
    }
    arranged
}

/// Returns the component of the `i`-th level of chunk `u`: `component_of` of kernels/levels.cuh.
fn component(dim: usize, nbits: u8, u: usize, i: usize) -> usize {
    let (word, i) = (i / 4, i % 4);
    let bit = match nbits {
        1 => 2 * word + i / 2 + 4 * (i % 2),
        2 => 2 * word + 4 * i,
        4 => 16 * word + 4 * i,
        _ => return u * CHUNK + 4 * word + i,
    };
    let nbits_wide = usize::from(nbits);
    bit % 8 / nbits_wide * packed_row_bytes(dim, nbits) + u * nbits_wide + bit / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_one_place() {
        for (dim, nbits) in [(8, 1), (8, 2), (8, 4), (40, 8), (128, 0), (128, 1), (136, 2), (96, 4)] {
            let mut components: Vec<usize> =
                (0..dim / CHUNK).flat_map(|u| (0..CHUNK).map(move |i| component(dim, nbits, u, i))).collect();
            components.sort_unstable();
            assert!(components.into_iter().eq(0..dim), "{dim} dims, {nbits} bits");
        }
    }

    #[test]
    fn rows_and_chunks_after_the_end_are_zeros() {
        let query: Vec<i8> = (0..3 * 40).map(|i| i as i8 + 1).collect();
        let arranged = arrange(40, 4, &query);
        assert_eq!(arranged.len(), 32 * 2 * 32);
        assert_eq!(arranged.len(), arranged_len(40, 3));
        assert_eq!(arranged.iter().filter(|&&x| x != 0).count(), 3 * 40);
        assert!(arrange(40, 4, &[]).is_empty());
    }
}
