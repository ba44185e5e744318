//! Centroids that saturate the centroid table.
//!
//! An entry of the table is `clamp(dot(c8, q8) * table_factor, -TABLE_LIMIT, TABLE_LIMIT)`. A centroid whose entry is
//! clamped for a query in its own direction cannot be told from its neighbours: its passages are misranked. Training
//! bounds the factor so that no entry is clamped. Codecs trained without that bound may exceed it 10 to 100 times
//! if residuals are nearly zero.

use rayon::prelude::*;
use selvedge_backend::{CodecParams, TABLE_LIMIT};

/// Least entry, before clamping, of a saturated centroid. It is 0.1 % above the limit, because training may end at the
/// limit, up to the rounding of f32.
const SATURATED: f64 = TABLE_LIMIT as f64 * 1.001;

/// Centroids per parallel task: 128 KiB at 128 dimensions.
const CENTROIDS_PER_STEP: usize = 1 << 10;

/// Number of centroids whose entry saturates for a query in their own direction: one pass over `(K, D) i8`.
pub(crate) fn saturated_centroids(codec: &CodecParams) -> usize {
    let factor = f64::from(codec.table_factor());
    let steps = codec.centroids.par_chunks(CENTROIDS_PER_STEP * codec.dim);
    steps.map(|step| step.chunks_exact(codec.dim).filter(|row| own_dot(row) * factor >= SATURATED).count()).sum()
}

/// `dot(c8, q8)` of a centroid with a query of its own direction: `q8 = c8 * 127 / max|c8|`, hence
/// `127 / max|c8| * sum c8^2`; 0 for a centroid of zeros. `sum c8^2 <= 2^15 * 127^2 < 2^30` fits an i32.
fn own_dot(centroid: &[i8]) -> f64 {
    // Both loops compile to vector code.
    let max = centroid.iter().fold(0, |max: u8, c| max.max(c.unsigned_abs()));
    let squares: i32 = centroid.iter().map(|&c| i32::from(i16::from(c) * i16::from(c))).sum();
    if max == 0 { 0.0 } else { 127.0 * f64::from(squares) / f64::from(max) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::codec;

    /// Centroids of one nonzero component each, and a factor of `factor` per unit of their dot.
    fn params(components: &[i8], factor: f32) -> CodecParams {
        let mut params = (*codec(8, 1, 0, 0).params).clone();
        params.centroids = components.iter().flat_map(|&c| [c, 0, 0, 0, 0, 0, 0, 0]).collect();
        (params.centroid_scale, params.centroid_weight_step, params.residual_weight_step) = (factor, 1.0, 1.0);
        params
    }

    #[test]
    fn centroids_beyond_the_limit_are_counted() {
        // 127 / |c| * c^2 = 127 |c|: 16,129, 12,700 and 0.
        let at_limit = TABLE_LIMIT as f32 / 12_700.0;
        let components = [127, -127, 100, -100, 0];
        assert_eq!(saturated_centroids(&params(&components, at_limit * 0.5)), 0);
        assert_eq!(saturated_centroids(&params(&components, at_limit)), 2, "exactly at the limit is not above it");
        assert_eq!(saturated_centroids(&params(&components, at_limit * 1.01)), 4);
        assert_eq!(saturated_centroids(&params(&components, f32::MAX)), 4, "zeros never saturate");
    }

    #[test]
    fn every_step_is_counted() {
        let components = vec![127; CENTROIDS_PER_STEP * 2 + 3];
        assert_eq!(saturated_centroids(&params(&components, f32::MAX)), components.len());
    }
}
