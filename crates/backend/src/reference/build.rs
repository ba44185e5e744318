//! The ops of a build, naively: nearest centroids, sums, compression and its inverse.

use super::{level, token, trellis_row};
use crate::groups::SEARCHED;
use crate::{
    CodecParams, CompressedPassages, Packed, QuantizedQuery, RADIAL_WEIGHT, ResidualForm, RowCoding, WeightRule,
};
use std::cmp::Reverse;
use std::ops::Range;

/// Nearest centroid of each embedding, by inner product with the embedding rounded to int8; ties go to the lower code.
/// `embeddings (N, D) f32`, `centroids (K, D) i8` -> `(N) u32`.
pub fn assign(dim: usize, embeddings: &[f32], centroids: &[i8]) -> Vec<u32> {
    let nearest = |x: &[f32]| {
        let x = QuantizedQuery::new(dim, x).data;
        let product = |c: &[i8]| x.iter().zip(c).map(|(&x, &c)| i32::from(x) * i32::from(c)).sum::<i32>();
        let products = centroids.chunks_exact(dim).map(product).zip(0..);
        products.fold((i32::MIN, 0), |best, found| if found.0 > best.0 { found } else { best }).1
    };
    embeddings.chunks_exact(dim).map(nearest).collect()
}

/// Nearest centroid of each embedding among the groups that are nearest to it, by inner product with the embedding
/// rounded to int8: the groups of the best `SEARCHED` of `representatives (G, D) i8`. Ties go to the lower group and
/// the lower code. `members (G)` are the codes of each group.
///
/// # Panics
/// If the groups that are searched have no centroid.
pub fn assign_grouped(
    dim: usize,
    embeddings: &[f32],
    centroids: &[i8],
    representatives: &[i8],
    members: &[Vec<u32>],
) -> Vec<u32> {
    let nearest = |x: &[f32]| {
        let x = QuantizedQuery::new(dim, x).data;
        let product = |c: &[i8]| x.iter().zip(c).map(|(&x, &c)| i32::from(x) * i32::from(c)).sum::<i32>();
        let mut groups: Vec<_> = representatives.chunks_exact(dim).map(product).zip(members).collect();
        // The sort is stable: among equals the lower group comes first.
        groups.sort_by_key(|&(product, _)| Reverse(product));
        let codes = groups.iter().take(SEARCHED).flat_map(|&(_, members)| members);
        let best = codes.min_by_key(|&&code| (Reverse(product(&centroids[code as usize * dim..][..dim])), code));
        *best.expect("a centroid")
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

/// Compresses embeddings one by one to packed residuals and weight indices. `embeddings (N, D) f32`, `codes (N) u32`.
///
/// # Panics
/// If the codec has no weight entry, or a code is not below `K`.
pub fn compress(codec: &CodecParams, embeddings: &[f32], codes: &[u32]) -> Packed {
    let mut packed = Packed::default();
    for (x, &code) in embeddings.chunks_exact(codec.dim).zip(codes) {
        let centroid = &codec.centroids[code as usize * codec.dim..(code as usize + 1) * codec.dim];
        let components = components(codec, x, centroid);
        let mut row = match codec.coding {
            RowCoding::Buckets => pack(codec, &buckets(&components, &codec.cutoffs)),
            RowCoding::Trellis { .. } => trellis_row(codec, &components),
        };
        let levels: Vec<i8> = (0..codec.dim).map(|d| level(codec, &row, d)).collect();
        let errors = weight_errors(codec, x, centroid, &levels);
        let best = (0..errors.len()).reduce(|best, j| if errors[j] < errors[best] { j } else { best });
        let weight = best.expect("at least one weight");
        if codec.rule == WeightRule::KeepLengthRefit {
            row = pack(codec, &buckets(&refit_components(codec, x, centroid, weight), &midpoints(codec)));
        }
        packed.residuals.extend(row);
        packed.weights.push(weight as u8);
    }
    packed
}

/// Components that are compared with [`midpoints`] when levels are chosen anew for the weight entry `weight`,
/// `(D) f64`: `(x - centroid_weight * c) / residual_weight`, or zeros if the residual weight is 0.
pub fn refit_components(codec: &CodecParams, x: &[f32], centroid: &[i8], weight: usize) -> Vec<f64> {
    let centroid_weight = f64::from(codec.centroid_weight_step) * f64::from(codec.centroid_weights[weight]);
    let residual_weight = f64::from(codec.residual_weight_step) * f64::from(codec.residual_weights[weight]);
    let c = real_centroid(codec, centroid);
    x.iter()
        .zip(c)
        .map(|(&x, c)| if residual_weight > 0.0 { (f64::from(x) - centroid_weight * c) / residual_weight } else { 0.0 })
        .collect()
}

/// Midpoints between neighbouring levels of a codec, in steps of a level.
pub fn midpoints(codec: &CodecParams) -> Vec<f32> {
    codec.levels.windows(2).map(|pair| (f32::from(pair[0]) + f32::from(pair[1])) / 2.0).collect()
}

/// Components that are coded, `(D) f64`, for embedding `x (D) f32` and `centroid (D) i8`: see [`ResidualForm`].
pub fn components(codec: &CodecParams, x: &[f32], centroid: &[i8]) -> Vec<f64> {
    let c = real_centroid(codec, centroid);
    let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    match codec.form {
        ResidualForm::Raw => x.iter().zip(&c).map(|(x, c)| x - c).collect(),
        ResidualForm::Orthogonal => {
            let rest = orthogonal(&x, &c);
            let length = dot(&rest, &rest).sqrt();
            let factor = if length > 0.0 { (codec.dim as f64).sqrt() / length } else { 0.0 };
            rest.iter().map(|r| r * factor).collect()
        }
    }
}

fn real_centroid(codec: &CodecParams, centroid: &[i8]) -> Vec<f64> {
    centroid.iter().map(|&c| f64::from(codec.centroid_scale * f32::from(c))).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Projection coefficient of `x` on `c`: `<x, c> / <c, c>`.
fn share(x: &[f64], c: &[f64]) -> f64 {
    if dot(c, c) > 0.0 { dot(x, c) / dot(c, c) } else { 0.0 }
}

/// The part of `x` that is orthogonal to `c`.
fn orthogonal(x: &[f64], c: &[f64]) -> Vec<f64> {
    let share = share(x, c);
    x.iter().zip(c).map(|(x, c)| x - share * c).collect()
}

/// Bucket of each component, `(D) u8`: the number of edges below it.
fn buckets(components: &[f64], edges: &[f32]) -> Vec<u8> {
    let bucket = |&x: &f64| edges.iter().filter(|&&edge| f64::from(edge) < x).count() as u8;
    components.iter().map(bucket).collect()
}

/// A row of buckets as bytes: component `k * W + j` in bits `k * nbits ..` of byte `j`.
fn pack(codec: &CodecParams, buckets: &[u8]) -> Vec<u8> {
    let mut row = vec![0u8; codec.row_bytes()];
    if row.is_empty() {
        return row;
    }
    for (d, &bucket) in buckets.iter().enumerate() {
        let (plane, byte) = (d / row.len(), d % row.len());
        row[byte] |= bucket << (plane * codec.nbits as usize);
    }
    row
}

/// Error of each weight entry, `(2^weight_bits) f64`; `levels (D) i8`, or none at 0 bits.
///
/// [`WeightRule::KeepLength`]: `|e|^2 + RADIAL_WEIGHT <e, y>^2`, with `y` the vector of the best pair and `e` its
/// change if the entry replaces that pair.
/// [`WeightRule::UnitNorm`]: the distance of the entry's centroid weight from `1 / |c + w g / n|`, with `(n, g)` the
/// entry whose centroid weight is largest.
///
/// # Panics
/// If the codec has no weight entry.
pub fn weight_errors(codec: &CodecParams, x: &[f32], centroid: &[i8], levels: &[i8]) -> Vec<f64> {
    let c = real_centroid(codec, centroid);
    let w: Vec<f64> = (0..codec.dim).map(|d| levels.get(d).map_or(0.0, |&w| f64::from(w))).collect();
    let centroid_weight = |j: usize| f64::from(codec.centroid_weight_step) * f64::from(codec.centroid_weights[j]);
    let residual_weight = |j: usize| f64::from(codec.residual_weight_step) * f64::from(codec.residual_weights[j]);
    let entries = 0..codec.centroid_weights.len();
    match codec.rule {
        WeightRule::KeepLength | WeightRule::KeepLengthRefit => {
            let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let (best_n, best_g) = best_pair(&x, &c, &w);
            let y: Vec<f64> = c.iter().zip(&w).map(|(c, w)| best_n * c + best_g * w).collect();
            let error = |j| {
                let change =
                    |(c, w): (&f64, &f64)| (centroid_weight(j) - best_n) * c + (residual_weight(j) - best_g) * w;
                let e: Vec<f64> = c.iter().zip(&w).map(change).collect();
                dot(&e, &e) + f64::from(RADIAL_WEIGHT) * dot(&e, &y).powi(2)
            };
            entries.map(error).collect()
        }
        WeightRule::UnitNorm => {
            let largest = entries
                .clone()
                .reduce(|a, b| if codec.centroid_weights[b] > codec.centroid_weights[a] { b } else { a });
            let largest = largest.expect("at least one weight");
            let ratio = residual_weight(largest) / centroid_weight(largest);
            let length = (0..codec.dim).map(|d| (c[d] + ratio * w[d]).powi(2)).sum::<f64>().sqrt();
            entries.map(|j| (centroid_weight(j) - 1.0 / length).abs()).collect()
        }
    }
}

/// The pair `(n*, g*)` of [`WeightRule::KeepLength`].
fn best_pair(x: &[f64], c: &[f64], w: &[f64]) -> (f64, f64) {
    let a = share(x, c);
    if dot(w, w) == 0.0 {
        return (a.max(0.0), 0.0);
    }
    let rest = orthogonal(x, c);
    let s = (dot(&rest, &rest) / dot(w, w)).sqrt();
    let whole: Vec<f64> = c.iter().zip(w).map(|(c, w)| a * c + s * w).collect();
    let length = dot(&whole, &whole).sqrt();
    let stretch = if length > 0.0 { dot(x, x).sqrt() / length } else { 0.0 };
    ((a * stretch).max(0.0), s * stretch)
}

/// Decompressed vectors of `tokens`, `(tokens, D) f32`; formula: [`crate::Backend::decompress`].
pub fn decompress(codec: &CodecParams, passages: &CompressedPassages, tokens: Range<usize>) -> Vec<f32> {
    let mut vectors = Vec::new();
    for t in tokens {
        let token = token(codec, passages, t);
        let centroid_factor =
            codec.centroid_weight_step * f32::from(codec.centroid_weights[token.weight]) * codec.centroid_scale;
        let level_factor = codec.residual_weight_step * f32::from(codec.residual_weights[token.weight]);
        let centroid = &codec.centroids[token.code * codec.dim..(token.code + 1) * codec.dim];
        let parts = centroid.iter().zip(&token.levels);
        vectors.extend(parts.map(|(&c, &w)| centroid_factor * f32::from(c) + level_factor * f32::from(w)));
    }
    vectors
}
