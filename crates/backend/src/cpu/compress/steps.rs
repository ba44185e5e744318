//! The steps of `compress`, each for one embedding. They are inlined, so that they are compiled for the caller's
//! instruction set; sums run in eight lanes of f32, in a fixed order.

use crate::{CodecParams, RADIAL_WEIGHT, ResidualForm, WeightRule};
use std::array;

/// Lanes of a sum.
const LANES: usize = 8;

/// Maximum number of cutoffs that are compared with a component one by one; with more cutoffs, a binary search is used.
const FEW_CUTOFFS: usize = 15;

/// The real centroid of `code`, `(D) f32`.
#[inline(always)]
pub(super) fn centroid(codec: &CodecParams, code: u32, centroid: &mut [f32]) {
    let row = &codec.centroids[code as usize * codec.dim..][..codec.dim];
    centroid.iter_mut().zip(row).for_each(|(c, &c8)| *c = codec.centroid_scale * f32::from(c8));
}

/// Components that are coded, `(D) f32`, for embedding `x` and centroid `c`: see [`ResidualForm`].
#[inline(always)]
pub(super) fn components(form: ResidualForm, x: &[f32], c: &[f32], out: &mut [f32]) {
    let share = match form {
        ResidualForm::Raw => 1.0,
        ResidualForm::Orthogonal => share(dot(x, c), dot(c, c)),
    };
    for ((out, &x), &c) in out.iter_mut().zip(x).zip(c) {
        *out = x - share * c;
    }
    if form == ResidualForm::Orthogonal {
        let length = dot(out, out).sqrt();
        let factor = if length > 0.0 { (out.len() as f32).sqrt() / length } else { 0.0 };
        out.iter_mut().for_each(|r| *r *= factor);
    }
}

/// The midpoints between a codec's levels, in steps of a level.
pub(super) fn midpoints(codec: &CodecParams) -> Vec<f32> {
    codec.levels.windows(2).map(|pair| (f32::from(pair[0]) + f32::from(pair[1])) * 0.5).collect()
}

/// Projection coefficient of an embedding on its centroid: `<x, c> / <c, c>`.
#[inline(always)]
fn share(xc: f32, cc: f32) -> f32 {
    if cc > 0.0 { xc / cc } else { 0.0 }
}

/// Bucket of each component, `(D) u8`: the number of cutoffs below it.
#[inline(always)]
pub(super) fn quantize(cutoffs: &[f32], components: &[f32], buckets: &mut [u8]) {
    if cutoffs.len() > FEW_CUTOFFS {
        for (bucket, x) in buckets.iter_mut().zip(components) {
            *bucket = cutoffs.partition_point(|cutoff| cutoff < x) as u8;
        }
        return;
    }
    // The inner loop is over the components. If it is over the few cutoffs, compilers vectorize that one.
    buckets.fill(0);
    for &cutoff in cutoffs {
        buckets.iter_mut().zip(components).for_each(|(below, x)| *below += u8::from(cutoff < *x));
    }
}

/// The level of each bucket as a real number, `(256) f32`, so that no bucket is out of bounds.
pub(super) fn bucket_levels(codec: &CodecParams) -> [f32; 256] {
    array::from_fn(|bucket| codec.levels.get(bucket).map_or(0.0, |&level| f32::from(level)))
}

/// A row of buckets `(D) u8` to bytes `(W) u8`: component `k * W + j` in bits `k * nbits ..` of byte `j`.
#[inline(always)]
pub(super) fn pack(nbits: u8, buckets: &[u8], row: &mut [u8]) {
    row.fill(0);
    for (plane, buckets) in buckets.chunks_exact(row.len()).enumerate() {
        row.iter_mut().zip(buckets).for_each(|(byte, &bucket)| *byte |= bucket << (plane * nbits as usize));
    }
}

/// Weight entries of a codec as real numbers. If there are several, they are padded to whole lanes with NaN,
/// which never has the least error.
pub(super) struct Weights {
    centroid_weights: Vec<f32>,
    residual_weights: Vec<f32>,
    /// Residual weight over centroid weight, for the entry whose centroid weight is largest.
    ratio: f32,
}

impl Weights {
    pub(super) fn new(codec: &CodecParams) -> Self {
        assert!(
            codec.centroid_weights.len() == codec.residual_weights.len() && !codec.centroid_weights.is_empty(),
            "a centroid and a residual weight for each index"
        );
        let mut centroid_weights: Vec<f32> =
            codec.centroid_weights.iter().map(|&n| codec.centroid_weight_step * f32::from(n)).collect();
        let mut residual_weights: Vec<f32> =
            codec.residual_weights.iter().map(|&g| codec.residual_weight_step * f32::from(g)).collect();
        let largest =
            (0..centroid_weights.len()).fold(0, |a, b| if centroid_weights[b] > centroid_weights[a] { b } else { a });
        let ratio = residual_weights[largest] / centroid_weights[largest];
        if centroid_weights.len() > 1 {
            let filled = centroid_weights.len().next_multiple_of(LANES);
            centroid_weights.resize(filled, f32::NAN);
            residual_weights.resize(filled, f32::NAN);
        }
        Self { centroid_weights, residual_weights, ratio }
    }

    /// Index of the entry with the least error for `x`, centroid `c` and levels `w`, each `(D) f32`; ties to the lower.
    #[inline(always)]
    pub(super) fn choose(&self, rule: WeightRule, x: &[f32], c: &[f32], w: &[f32]) -> u8 {
        if self.centroid_weights.len() == 1 {
            return 0;
        }
        let (cc, cw, ww) = (dot(c, c), dot(c, w), dot(w, w));
        match rule {
            WeightRule::KeepLength | WeightRule::KeepLengthRefit => {
                let (n, g) = best_pair(dot(x, x), dot(x, c), cc, cw, ww);
                let (along_c, along_w) = (n * cc + g * cw, n * cw + g * ww);
                self.least(|centroid_weight, residual_weight| {
                    let (n, g) = (centroid_weight - n, residual_weight - g);
                    let along = n * along_c + g * along_w;
                    n * (n * cc + 2.0 * g * cw) + g * g * ww + RADIAL_WEIGHT * along * along
                })
            }
            WeightRule::UnitNorm => {
                let length = (cc + 2.0 * self.ratio * cw + self.ratio * self.ratio * ww).max(0.0).sqrt();
                self.least(|n, _| (n - 1.0 / length).abs())
            }
        }
    }

    /// Components that are compared with the midpoints between levels when levels are chosen anew for entry `j`:
    /// `(x - centroid_weight * c) / residual_weight`, `(D) f32`; 0 if the residual weight is 0.
    #[inline(always)]
    pub(super) fn refit(&self, j: u8, x: &[f32], c: &[f32], out: &mut [f32]) {
        let (centroid_weight, residual_weight) = (self.centroid_weights[j as usize], self.residual_weights[j as usize]);
        let inverse = if residual_weight > 0.0 { 1.0 / residual_weight } else { 0.0 };
        for ((out, &x), &c) in out.iter_mut().zip(x).zip(c) {
            *out = (x - centroid_weight * c) * inverse;
        }
    }

    /// The index of the entry with the least `error(centroid_weight, residual_weight)`; among equals the lowest.
    #[inline(always)]
    fn least(&self, error: impl Fn(f32, f32) -> f32) -> u8 {
        let (mut least, mut index) = ([f32::INFINITY; LANES], [0u32; LANES]);
        let entries = self.centroid_weights.chunks_exact(LANES).zip(self.residual_weights.chunks_exact(LANES));
        for (block, (centroid_weights, residual_weights)) in entries.enumerate() {
            for lane in 0..LANES {
                let error = error(centroid_weights[lane], residual_weights[lane]);
                let better = error < least[lane];
                least[lane] = if better { error } else { least[lane] };
                index[lane] = if better { (block * LANES + lane) as u32 } else { index[lane] };
            }
        }
        let better = |a: usize, b: usize| least[b] < least[a] || (least[b] == least[a] && index[b] < index[a]);
        index[(0..LANES).fold(0, |a, b| if better(a, b) { b } else { a })] as u8
    }
}

/// The pair `(n*, g*)` of [`WeightRule::KeepLength`], from the inner products of `x`, `c` and `w`.
#[inline(always)]
fn best_pair(xx: f32, xc: f32, cc: f32, cw: f32, ww: f32) -> (f32, f32) {
    let a = share(xc, cc);
    if ww <= 0.0 {
        return (a.max(0.0), 0.0);
    }
    let s = ((xx - a * xc).max(0.0) / ww).sqrt();
    let length = (a * a * cc + 2.0 * a * s * cw + s * s * ww).max(0.0).sqrt();
    let whole = if length > 0.0 { xx.sqrt() / length } else { 0.0 };
    ((a * whole).max(0.0), s * whole)
}

/// Dot product in eight lanes, added pairwise at the end.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}
