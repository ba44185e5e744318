//! The ops of the build trip, naively: nearest centroids, sums, compression and its inverse.

use super::token;
use crate::{Codec, CompressedPassages, Packed, ResidualForm, ScaleRule};
use std::ops::Range;

/// Nearest centroid by inner product, in f64; ties go to the lower code.
pub fn assign(dim: usize, embeddings: &[f32], centroids: &[f32]) -> Vec<u32> {
    let nearest = |x: &[f32]| {
        let mut best = (0, f64::NEG_INFINITY);
        for (code, centroid) in centroids.chunks_exact(dim).enumerate() {
            let product = x.iter().zip(centroid).map(|(&x, &c)| f64::from(x) * f64::from(c)).sum();
            if product > best.1 {
                best = (code as u32, product);
            }
        }
        best.0
    };
    embeddings.chunks_exact(dim).map(nearest).collect()
}

/// Sum and number of the embeddings of each code, added in f64 in the order of the embeddings.
pub fn centroid_sums(dim: usize, embeddings: &[f32], codes: &[u32], num_centroids: usize) -> (Vec<f32>, Vec<u32>) {
    let mut sums = vec![0f64; num_centroids * dim];
    let mut counts = vec![0u32; num_centroids];
    for (x, &code) in embeddings.chunks_exact(dim).zip(codes) {
        let code = code as usize;
        counts[code] += 1;
        sums[code * dim..(code + 1) * dim].iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    (sums.into_iter().map(|sum| sum as f32).collect(), counts)
}

/// Residuals to packed levels and scale indices, one embedding at a time.
pub fn compress(codec: &Codec, embeddings: &[f32], codes: &[u32]) -> Packed {
    let mut packed = Packed::default();
    for (x, &code) in embeddings.chunks_exact(codec.dim).zip(codes) {
        let centroid = &codec.centroids[code as usize * codec.dim..(code as usize + 1) * codec.dim];
        let buckets = buckets(codec, x, centroid);
        packed.residuals.extend(pack(codec, &buckets));
        let levels: Vec<i8> = buckets.iter().map(|&b| codec.levels[b as usize]).collect();
        let errors = scale_errors(codec, x, centroid, &levels);
        let best = (0..errors.len()).reduce(|best, j| if errors[j] < errors[best] { j } else { best });
        packed.scales.push(best.expect("at least one scale") as u8);
    }
    packed
}

/// What the cutoffs are compared with: the residual, or the residual times `sqrt(D) / its norm`.
pub fn components(codec: &Codec, x: &[f32], centroid: &[i8]) -> Vec<f64> {
    let residual = x.iter().zip(centroid).map(|(&x, &c)| f64::from(x - codec.centroid_scale * f32::from(c)));
    let residual: Vec<f64> = residual.collect();
    let norm = residual.iter().map(|r| r * r).sum::<f64>().sqrt();
    match codec.form {
        ResidualForm::Raw => residual,
        ResidualForm::Unit if norm == 0.0 => vec![0.0; codec.dim],
        ResidualForm::Unit => residual.iter().map(|r| r * (codec.dim as f64).sqrt() / norm).collect(),
    }
}

/// Bucket of each component, `(D) u8`: the number of cutoffs below it; none at 0 bits.
fn buckets(codec: &Codec, x: &[f32], centroid: &[i8]) -> Vec<u8> {
    if codec.nbits == 0 {
        return Vec::new();
    }
    let bucket = |&x: &f64| codec.cutoffs.iter().filter(|&&cutoff| f64::from(cutoff) < x).count() as u8;
    components(codec, x, centroid).iter().map(bucket).collect()
}

/// A row of buckets as bytes: component `k * W + j` in bits `k * nbits ..` of byte `j`.
fn pack(codec: &Codec, buckets: &[u8]) -> Vec<u8> {
    let mut row = vec![0u8; codec.row_bytes()];
    for (d, &bucket) in buckets.iter().enumerate() {
        let (plane, byte) = (d / row.len(), d % row.len());
        row[byte] |= bucket << (plane * codec.nbits as usize);
    }
    row
}

/// How badly each scale index fits, `(2^scale_bits) f64`; `levels (D) i8`, or none at 0 bits.
///
/// [`ScaleRule::LeastError`]: `|x - norm * c - gain * w|^2`. [`ScaleRule::UnitNorm`]: the distance of
/// the entry's norm from `1 / |c + w * gain / norm|`, with gain and norm of the entry whose norm is
/// largest.
pub fn scale_errors(codec: &Codec, x: &[f32], centroid: &[i8], levels: &[i8]) -> Vec<f64> {
    let c: Vec<f64> = centroid.iter().map(|&c| f64::from(codec.centroid_scale) * f64::from(c)).collect();
    let w: Vec<f64> = (0..codec.dim).map(|d| levels.get(d).map_or(0.0, |&w| f64::from(w))).collect();
    let norm = |j: usize| f64::from(codec.norm_unit) * f64::from(codec.norms[j]);
    let gain = |j: usize| f64::from(codec.gain_unit) * f64::from(codec.gains[j]);
    let entries = 0..codec.norms.len();
    match codec.rule {
        ScaleRule::LeastError => {
            let square = |j, d: usize| (f64::from(x[d]) - norm(j) * c[d] - gain(j) * w[d]).powi(2);
            entries.map(|j| (0..codec.dim).map(|d| square(j, d)).sum()).collect()
        }
        ScaleRule::UnitNorm => {
            let largest = entries.clone().reduce(|a, b| if codec.norms[b] > codec.norms[a] { b } else { a });
            let largest = largest.expect("at least one scale");
            let ratio = gain(largest) / norm(largest);
            let length = (0..codec.dim).map(|d| (c[d] + ratio * w[d]).powi(2)).sum::<f64>().sqrt();
            entries.map(|j| (norm(j) - 1.0 / length).abs()).collect()
        }
    }
}

/// The vectors that the bytes of `tokens` stand for, `(tokens, D) f32`:
/// `((norm_unit * norms[j]) * centroid_scale) * c8 + (gain_unit * gains[j]) * w8`, each step rounded
/// to f32, nothing contracted, so that every backend gives the same bits.
pub fn decompress(codec: &Codec, passages: &CompressedPassages, tokens: Range<usize>) -> Vec<f32> {
    let mut vectors = Vec::new();
    for t in tokens {
        let token = token(codec, passages, t);
        let centroid_factor = codec.norm_unit * f32::from(codec.norms[token.scale]) * codec.centroid_scale;
        let level_factor = codec.gain_unit * f32::from(codec.gains[token.scale]);
        let centroid = &codec.centroids[token.code * codec.dim..(token.code + 1) * codec.dim];
        let parts = centroid.iter().zip(&token.levels);
        vectors.extend(parts.map(|(&c, &w)| centroid_factor * f32::from(c) + level_factor * f32::from(w)));
    }
    vectors
}
