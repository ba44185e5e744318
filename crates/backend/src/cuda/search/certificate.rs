//! The certificate of an index: how far the sums of kernels/filter.cu may be from scores. The proof is there.
//!
//! It is measured once, when a batch of queries is first answered: two passes over all tokens, and a pass over the
//! offsets on the host.

use super::index::LoadedIndex;
use crate::cuda::{
    filter_wgmma,
    resident::LoadedCodec,
    rows::{Measure, RowFactors, Run, TILE_TOKENS, tile_bytes},
    survivors::BoundArgument,
};
use crate::{CodecParams, Result, TABLE_LIMIT};

/// Bytes of the rows that are made at a time, unless one passage has more: they stay in L2, of which an A100 has 40 MB
/// and an H200 50 MB. Other sizes were not measured.
const RUN_BYTES: usize = 16 << 20;
/// Bytes of the rows that are made at a time for `filter_wgmma`, whose devices have 50 MB of L2: 600 M tokens take
/// 5,000 launches in place of 10,000. Other sizes were not measured.
const WIDE_RUN_BYTES: usize = 32 << 20;
/// Bytes up to which a passage has rows; it is longer than any text. An index with a longer one is searched query by
/// query.
const MOST_BYTES: usize = 16 * RUN_BYTES;
/// Largest component of a row. It leaves 1 of 127 for the rounding of its factors.
const LARGEST: f64 = 126.0;
/// Margins for the roundings of f64: see [`distance`].
const RELATIVE: f64 = 1.0 / (1u64 << 30) as f64;
const ABSOLUTE: f64 = 1.0 / (1u64 << 50) as f64;
/// Margin for the roundings of two lengths, their product and a quotient.
const OF_LENGTHS: f64 = 1.0 / (1u64 << 20) as f64;

/// The certificate of an index, and what the rows of its tokens are made with.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) rows: RowFactors,
    pub(super) bound: BoundArgument,
    /// All passages, in the order of their pids.
    pub(super) runs: Vec<Run>,
    /// Tiles of the largest run, and bytes of their rows.
    pub(super) run_tiles: usize,
    pub(super) run_bytes: usize,
}

impl Certificate {
    /// Measures an index; `None` if its offsets are corrupt, or one passage exceeds [`MOST_BYTES`].
    pub(super) fn measure(index: &LoadedIndex) -> Result<Option<Self>> {
        let codec: &LoadedCodec = &index.codec;
        let tile = tile_bytes(codec.host.dim);
        let most_bytes = if filter_wgmma::serves(index.cuda(), codec.host.dim) { WIDE_RUN_BYTES } else { RUN_BYTES };
        let (mut runs, mut tokens, mut largest) = (Vec::new(), Vec::new(), 0);
        for (segment, offsets) in index.offsets()? {
            if !offsets.is_sorted() {
                return Ok(None);
            }
            for (first, num) in cut(&offsets, (most_bytes / tile).max(1)) {
                let tiles = tiles(&offsets, first, first + num);
                largest = largest.max(tiles);
                let [first_passage, num, tiles] = [first, num, tiles].map(|number| number as u32);
                runs.push(Run { segment, base: offsets[first], first: first_passage, num, tiles });
            }
            tokens.push((segment, *offsets.last().expect("an offset more than passages")));
        }
        let run_bytes = largest * tile;
        if run_bytes > MOST_BYTES {
            return Ok(None);
        }
        let mut measure = Measure::new(index.cuda(), codec, &tokens)?;
        let step = step(measure.largest()?);
        let (rows, farthest) = measure.farthest(step)?;
        Ok(Some(Self { rows, bound: bound(&codec.host, step, farthest), runs, run_tiles: largest, run_bytes }))
    }
}

/// Returns the step of rows whose largest component is `largest`.
fn step(largest: f64) -> f64 {
    if largest > 0.0 { largest / LARGEST } else { 1.0 }
}

/// Returns the bound for rows of this step; `farthest` is the largest square of a distance as it was measured.
fn bound(codec: &CodecParams, step: f64, farthest: f64) -> BoundArgument {
    let factor = f64::from(codec.table_factor());
    let largest = |weights: &[u8]| f64::from(weights.iter().copied().max().unwrap_or(0));
    let weight = largest(&codec.centroid_weights);
    let component = 127.0 * (weight * factor + largest(&codec.residual_weights));
    let squares = |row: &[i8]| row.iter().map(|&c| i64::from(c).pow(2)).sum::<i64>();
    let length = (codec.centroids.chunks_exact(codec.dim).map(squares).max().unwrap_or(0) as f64).sqrt();
    let most_length = f64::from(TABLE_LIMIT - 1) / (length * factor * (1.0 + OF_LENGTHS));
    BoundArgument { step, distance: distance(farthest, codec.dim, component), weight, most_length }
}

/// Returns a bound of the distance whose square was measured as `farthest`, for components of at most `component`.
///
/// A component of the difference has three roundings, each by at most 2^-53 of its result: of `x`, whose two parts are
/// exact, at most `component`; of `step * x8`, at most `128 / 126` of it; and of their difference, at most the sum of
/// both. They change it by less than `2^-50 * component`, and the length of all by less than `sqrt(dim)` of that. Up to
/// 2^15 squares and their sums are rounded, which changes the sum by less than 2^-37 of itself. Fused multiply-adds
/// round less often.
fn distance(farthest: f64, dim: usize, component: f64) -> f64 {
    farthest.sqrt() * (1.0 + RELATIVE) + ABSOLUTE * (dim as f64).sqrt() * component
}

/// Tiles of the passages from `first` to before `end`, by the places that kernels/rows.cu gives them.
fn tiles(offsets: &[u32], first: usize, end: usize) -> usize {
    (offsets[end] - offsets[first]) as usize / TILE_TOKENS + (end - first)
}

/// Cuts the passages of ascending offsets into runs of at most `most` tiles, or of one passage: the first of each, and
/// their number.
fn cut(offsets: &[u32], most: usize) -> Vec<(usize, usize)> {
    let num_passages = offsets.len() - 1;
    let (mut runs, mut first) = (Vec::new(), 0);
    while first < num_passages {
        let (mut low, mut end) = (first + 1, num_passages + 1);
        while end - low > 1 {
            let middle = low.midpoint(end);
            if tiles(offsets, first, middle) <= most { low = middle } else { end = middle }
        }
        runs.push((first, low - first));
        first = low;
    }
    runs
}

#[cfg(test)]
pub(in crate::cuda) mod tests;
