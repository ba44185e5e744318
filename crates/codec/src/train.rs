//! Training: a sample of embeddings in, a [`Codec`] out.
//!
//! ```text
//! sample (N, D) f32 --shuffle, rotate--> k-means (K, D) --round to int8--> centroids
//! held-out rows --assign, residual, levels--> stats --> 2^weight_bits weight pairs, rounded to integers
//! ```

use crate::kmeans::{Run, kmeans};
use crate::levels::{Levels, lloyd_max, quantiles, trellis};
use crate::trained::in_units;
use crate::weights::{InnerProducts, WeightPair, to_integers, train_centroid_weights, train_pairs};
use crate::{Codec, CodecKind, Error, Progress, Result, lengths, plan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{
    Assignment, Backend, CheckedCodec, CodecParams, ResidualForm, Rotation, RoundedCentroids, TABLE_LIMIT, WeightRule,
    round_to_int8,
};

/// Options of [`train`].
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Codec to train.
    pub kind: CodecKind,
    /// Bits per residual component: 0, 1, 2, 4 or 8.
    pub nbits: u8,
    /// Number of centroids, at least one; the codec has fewer if the sample has fewer distinct embeddings.
    pub num_centroids: usize,
    /// Rounds of k-means; there is no early stop.
    pub iterations: usize,
    /// Largest number of sampled embeddings per centroid that k-means uses.
    pub points_per_centroid: usize,
    /// Bits of an embedding's weight index, at most 8.
    pub weight_bits: u8,
    /// Seed of the rotation, the shuffle and k-means.
    pub seed: u64,
    /// How k-means assigns embeddings; `None` for [`Backend::assignment`].
    pub assignment: Option<Assignment>,
}

impl TrainOptions {
    /// Returns the defaults for `nbits` and `num_centroids`: [`CodecKind::Selvedge`], the numbers of [`plan`], seed 42,
    /// and 4 weight bits (5 at 2 bits, none at 0).
    pub fn new(nbits: u8, num_centroids: usize) -> Self {
        Self {
            kind: CodecKind::Selvedge,
            nbits,
            num_centroids,
            iterations: plan::KMEANS_ITERATIONS,
            points_per_centroid: plan::POINTS_PER_CENTROID,
            weight_bits: match nbits {
                0 => 0,
                2 => 5,
                _ => 4,
            },
            seed: 42,
            assignment: None,
        }
    }
}

/// Smallest nbits at which levels are chosen again for the weights of an embedding. At fewer bits this has a smaller
/// error and a worse ranking, because it shrinks vectors.
const REFIT_NBITS: u8 = 4;
/// Smallest number of held-out embeddings that levels and weights are fitted to.
const LEAST_HELD_OUT: usize = 1000;
/// Number of sampled embeddings per centroid below which they are too near to their own centroids to tell how far other
/// embeddings are: the rule of [`plan::num_centroids`] is there at 4,096 embeddings.
const FEW_PER_CENTROID: usize = 4;
/// Largest number of embeddings whose second nearest centroids are looked for: eight for each of 32 weights.
const MOST_SECOND: usize = 256;

/// Trains a codec on `sample (N, D) f32`. The sample is consumed: it is shuffled, scaled and rotated in place.
///
/// # Errors
/// - [`Error::Dim`], [`Error::Nbits`], [`Error::WeightBits`] if `dim` or an option is out of range.
/// - [`Error::EmptySample`], [`Error::PartialEmbedding`], [`Error::NotFinite`] for an unusable sample.
/// - [`Error::Length`], [`Error::NotOfUnitLength`] if an embedding has a length that the codec cannot keep.
/// - [`Error::Cancelled`] if `progress` cancels after a round of k-means.
/// - [`Error::Backend`] if the device fails, or `dim` is above the backend's limit.
pub fn train<B: Backend>(
    backend: &B,
    dim: usize,
    mut sample: Vec<f32>,
    options: &TrainOptions,
    progress: &dyn Progress,
) -> Result<Codec> {
    check(dim, &sample, options)?;
    let unit = scaled_and_rotated(dim, &mut sample, options)?;
    let n = sample.len() / dim;
    shuffle_rows(dim, &mut sample, options.seed);
    // Small samples hold nothing out: k-means and the fit of levels and weights share every row.
    let held_out = Some(plan::held_out(n)).filter(|&rows| rows >= LEAST_HELD_OUT).unwrap_or(0);
    let num_centroids = options.num_centroids.clamp(1, n - held_out);
    let points = (n - held_out).min(num_centroids.saturating_mul(options.points_per_centroid)).max(num_centroids);
    let run = Run { num_centroids, ..Run::from(options) };
    let rounded = kmeans(backend, dim, &sample[..points * dim], &run, progress)?;
    let held_out_rows = if held_out > 0 { &sample[(n - held_out) * dim..] } else { &sample[..] };
    let is_few = options.nbits > 0 && held_out == 0 && n < rounded.centroids.len() / dim * FEW_PER_CENTROID;
    let codes = backend.assign(&backend.load_centroids(dim, &rounded.centroids)?, held_out_rows)?;
    let codec = fit(backend, dim, held_out_rows, &codes, is_few, rounded, options)?;
    Ok(Codec::new(options.kind, options.seed, in_units(&codec, unit))?)
}

/// Centroids that another program trained, for [`train_around`].
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Centroids `(K, D) f32`.
    pub centroids: &'a [f32],
    /// Code of each embedding of the sample, below `K`.
    pub codes: &'a [u32],
    /// Number of embeddings that the centroids were trained for, of which the sample is a part.
    pub num_embeddings: u64,
}

/// Trains a codec as [`train`] does, but around given centroids, without k-means: levels and weights are fitted to all
/// of `sample (N, D) f32`, for which [`plan::MAX_HELD_OUT`] embeddings are enough. The codec has the centroids at unit
/// length, in their order, so that codes stay as they are.
///
/// # Errors
/// As [`train`]; [`Error::NotFinite`] also with the number of a centroid.
///
/// # Panics
/// If there are not whole centroids, or not one code below `K` for each embedding.
pub fn train_around<B: Backend>(
    backend: &B,
    dim: usize,
    mut sample: Vec<f32>,
    given: Given<'_>,
    options: &TrainOptions,
) -> Result<Codec> {
    check(dim, &sample, options)?;
    let mut centroids = given.centroids.to_vec();
    let num_centroids = centroids.len() / dim;
    assert!(centroids.len().is_multiple_of(dim), "whole centroids");
    assert!(given.codes.len() == sample.len() / dim, "one code for each embedding");
    assert!(given.codes.iter().all(|&code| (code as usize) < num_centroids), "codes of centroids");
    lengths::normalize_rows(dim, &mut centroids)?;
    let unit = scaled_and_rotated(dim, &mut sample, options)?;
    if options.kind == CodecKind::Selvedge {
        Rotation::new(dim, options.seed).apply(&mut centroids);
    }
    let mut rounded = vec![0; centroids.len()];
    let scale = Some(round_to_int8(&centroids, &mut rounded)).filter(|&scale| scale > 0.0).unwrap_or(1.0);
    let is_few = options.nbits > 0 && given.num_embeddings < (num_centroids * FEW_PER_CENTROID) as u64;
    let rounded = RoundedCentroids { centroids: rounded.into(), scale };
    let codec = fit(backend, dim, &sample, given.codes, is_few, rounded, options)?;
    Ok(Codec::new(options.kind, options.seed, in_units(&codec, unit))?)
}

/// Scales a sample by the unit of its codec, which is returned, and rotates it, in place.
fn scaled_and_rotated(dim: usize, sample: &mut [f32], options: &TrainOptions) -> Result<f32> {
    let unit = lengths::unit_of_rows(options.kind, dim, sample)?;
    lengths::check(options.kind, dim, sample, unit)?;
    if unit != 1.0 {
        sample.iter_mut().for_each(|x| *x *= 1.0 / unit);
    }
    if options.kind == CodecKind::Selvedge {
        Rotation::new(dim, options.seed).apply(sample);
    }
    Ok(unit)
}

fn check(dim: usize, sample: &[f32], &TrainOptions { nbits, weight_bits, .. }: &TrainOptions) -> Result<()> {
    if dim == 0 || !dim.is_multiple_of(8) {
        return Err(Error::Dim { dim });
    }
    if sample.is_empty() {
        return Err(Error::EmptySample);
    }
    if !sample.len().is_multiple_of(dim) {
        return Err(Error::PartialEmbedding { len: sample.len(), dim });
    }
    if !matches!(nbits, 0 | 1 | 2 | 4 | 8) {
        return Err(Error::Nbits { nbits });
    }
    if weight_bits > 8 {
        return Err(Error::WeightBits { weight_bits });
    }
    match sample.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(Error::NotFinite { embedding: at / dim }),
        None => Ok(()),
    }
}

fn shuffle_rows(dim: usize, rows: &mut [f32], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5348_5546);
    for i in (1..rows.len() / dim).rev() {
        let j = rng.random_range(0..=i);
        if i != j {
            let (low, high) = rows.split_at_mut(i * dim);
            low[j * dim..][..dim].swap_with_slice(&mut high[..dim]);
        }
    }
}

/// Fits levels and weights to held-out `rows (N, D) f32`. If the sample has few, so that they are nearly centroids
/// themselves, weights are fitted to their residuals from the second nearest centroid as well: an index that begins
/// with one note keeps the vectors of later notes, too.
fn fit<B: Backend>(
    backend: &B,
    dim: usize,
    rows: &[f32],
    codes: &[u32],
    is_few: bool,
    RoundedCentroids { centroids, scale: centroid_scale }: RoundedCentroids,
    options: &TrainOptions,
) -> Result<CodecParams> {
    let real: Vec<f32> = centroids.iter().map(|&c| f32::from(c) * centroid_scale).collect();
    let least_step = least_step(dim, &centroids, centroid_scale);
    let (levels, form, rule) = match options.kind {
        CodecKind::Selvedge => {
            let rule = if options.nbits < REFIT_NBITS { WeightRule::KeepLength } else { WeightRule::KeepLengthRefit };
            let levels = if matches!(options.nbits, 1 | 2) { trellis(options.nbits) } else { lloyd_max(options.nbits) };
            (levels, ResidualForm::Orthogonal, rule)
        }
        CodecKind::ColbertV2 => {
            let levels = quantiles(options.nbits, &mut residuals(dim, rows, &real, codes), least_step);
            (levels, ResidualForm::Raw, WeightRule::UnitNorm)
        }
    };
    let Levels { coding, levels, step, cutoffs } = levels;
    // One weight entry and no refit: compression then gives the levels of the held-out rows before any weights.
    let mut codec = CodecParams {
        dim,
        nbits: options.nbits,
        centroids,
        centroid_scale,
        coding,
        levels,
        cutoffs,
        form,
        rule: WeightRule::KeepLength,
        rotation: None,
        weight_bits: 0,
        centroid_weights: vec![1],
        residual_weights: vec![1],
        centroid_weight_step: 1.0,
        residual_weight_step: step,
    };
    let mut stats = stats_of(backend, &codec, rows, &real, codes)?;
    if is_few {
        let rows = &rows[..rows.len().min(MOST_SECOND * dim)];
        stats.extend(stats_of(backend, &codec, rows, &real, &second_nearest(dim, rows, &real, codes))?);
    }
    let entries = 1 << options.weight_bits;
    let pairs = match options.kind {
        CodecKind::Selvedge => train_pairs(&stats, entries),
        CodecKind::ColbertV2 => unit_norm_pairs(&stats, f64::from(step), entries),
    };
    codec.rule = rule;
    set_weights(&mut codec, &pairs, options.weight_bits, least_step);
    Ok(codec)
}

/// Compresses `rows (N, D) f32` and computes the [`InnerProducts`] of each; `centroids (K, D)` are real numbers.
fn stats_of<B: Backend>(
    backend: &B,
    codec: &CodecParams,
    rows: &[f32],
    centroids: &[f32],
    codes: &[u32],
) -> Result<Vec<InnerProducts>> {
    let (dim, row_bytes) = (codec.dim, codec.row_bytes());
    let packed = backend.compress(&backend.load_codec(CheckedCodec::new(codec.clone())?)?, rows, codes)?;
    let mut w = vec![0i8; if codec.nbits == 0 { 0 } else { dim }];
    let of_row = |(i, (x, &code)): (usize, (&[f32], &u32))| {
        let row = &packed.residuals[i * row_bytes..][..row_bytes];
        w.iter_mut().enumerate().for_each(|(d, level)| *level = codec.level(row, d));
        InnerProducts::new(x, &centroids[code as usize * dim..][..dim], &w)
    };
    Ok(rows.chunks_exact(dim).zip(codes).enumerate().map(of_row).collect())
}

/// Returns the nearest centroid of each row but for `codes`, its nearest of all. A sole centroid is its own second.
fn second_nearest(dim: usize, rows: &[f32], centroids: &[f32], codes: &[u32]) -> Vec<u32> {
    let distance = |x: &[f32], c: &[f32]| x.iter().zip(c).map(|(x, c)| (x - c) * (x - c)).sum::<f32>();
    let of_row = |(x, &first): (&[f32], &u32)| {
        let others = centroids.chunks_exact(dim).zip(0u32..).filter(|&(_, code)| code != first);
        let nearest = others.map(|(c, code)| (distance(x, c), code)).min_by(|a, b| a.0.total_cmp(&b.0));
        nearest.map_or(first, |(_, code)| code)
    };
    rows.chunks_exact(dim).zip(codes).map(of_row).collect()
}

/// Returns ColBERTv2's weights: inverse lengths of the reconstructions `c + step * w`, the same factor for both parts.
fn unit_norm_pairs(stats: &[InnerProducts], step: f64, entries: usize) -> Vec<WeightPair> {
    let length = |s: &InnerProducts| (s.cc + 2.0 * step * s.cw + step * step * s.ww).sqrt();
    let mut inverse_lengths: Vec<f64> = stats.iter().map(|s| 1.0 / length(s).max(1e-6)).collect();
    let weights = train_centroid_weights(&mut inverse_lengths, entries);
    weights.into_iter().map(|weight| WeightPair { centroid: weight, residual: weight * step }).collect()
}

/// Lower bound of `residual_weight_step / centroid_weight_step`, with which no entry of a centroid table reaches
/// [`TABLE_LIMIT`] for any query: `|dot(c8, q8)| <= 127 * sum |c8|`. It takes effect only if residuals are nearly zero:
/// residual weights then lose their last bits, but no entry of the table is clamped.
pub(crate) fn least_step(dim: usize, centroids: &[i8], centroid_scale: f32) -> f32 {
    let sum = |row: &[i8]| row.iter().map(|c| u32::from(c.unsigned_abs())).sum::<u32>();
    let largest = 127.0 * f64::from(centroids.chunks_exact(dim).map(sum).max().unwrap_or(0));
    (f64::from(centroid_scale) * largest / f64::from(TABLE_LIMIT)) as f32
}

/// Rounds `pairs` to small integers and stores them in the codec; `least_step` bounds the table factor.
fn set_weights(codec: &mut CodecParams, pairs: &[WeightPair], weight_bits: u8, least_step: f32) {
    let centroid_weights: Vec<f64> = pairs.iter().map(|pair| pair.centroid).collect();
    let residual_weights: Vec<f64> = pairs.iter().map(|pair| pair.residual).collect();
    codec.weight_bits = weight_bits;
    let limit = CodecParams::residual_weight_limit(codec.dim, &codec.levels);
    if codec.rule == WeightRule::UnitNorm {
        // All entries have one ratio of residual to centroid weight, so both share the integers and their limit. The
        // ratio is the step of the levels, which `quantiles` has bounded already.
        (codec.centroid_weights, codec.centroid_weight_step) = to_integers(&centroid_weights, limit, 0.0);
        codec.residual_weights.clone_from(&codec.centroid_weights);
        codec.residual_weight_step = codec.centroid_weight_step * (residual_weights[0] / centroid_weights[0]) as f32;
        return;
    }
    (codec.centroid_weights, codec.centroid_weight_step) = to_integers(&centroid_weights, 255, 0.0);
    let least_step = codec.centroid_weight_step * least_step;
    let least_step = if codec.nbits == 0 { least_step.max(NO_RESIDUAL_STEP) } else { least_step };
    (codec.residual_weights, codec.residual_weight_step) = to_integers(&residual_weights, limit, least_step);
}

/// Least residual weight step of a codec without residuals, for which any step within the bounds is valid. One step of
/// a query (about 1 / 360) times this is about 2^-24, so that the integer similarity of equal unit vectors is about
/// 2^24.
const NO_RESIDUAL_STEP: f32 = 2.5e-5;

/// Returns all components of all residuals `x - c`, for the quantiles.
fn residuals(dim: usize, rows: &[f32], centroids: &[f32], codes: &[u32]) -> Vec<f32> {
    let pairs = rows.chunks_exact(dim).zip(codes);
    pairs.flat_map(|(x, &c)| x.iter().zip(&centroids[c as usize * dim..]).map(|(x, c)| x - c)).collect()
}

#[cfg(test)]
mod tests;
