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
            weight_bits: if nbits == 0 { 0 } else { 4 + u8::from(nbits == 2) },
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
    let unit = lengths::unit_of_rows(options.kind, dim, &sample)?;
    lengths::check(options.kind, dim, &sample, unit)?;
    if unit != 1.0 {
        sample.iter_mut().for_each(|x| *x *= 1.0 / unit);
    }
    let n = sample.len() / dim;
    shuffle_rows(dim, &mut sample, options.seed);
    if options.kind == CodecKind::Selvedge {
        Rotation::new(dim, options.seed).apply(&mut sample);
    }
    // Small samples hold nothing out: k-means and the fit of levels and weights share every row.
    let held_out = Some(plan::held_out(n)).filter(|&rows| rows >= LEAST_HELD_OUT).unwrap_or(0);
    let num_centroids = options.num_centroids.clamp(1, n - held_out);
    let points = (n - held_out).min(num_centroids.saturating_mul(options.points_per_centroid)).max(num_centroids);
    let run = Run { num_centroids, ..Run::from(options) };
    let rounded = kmeans(backend, dim, &sample[..points * dim], &run, progress)?;
    let held_out_rows = if held_out > 0 { &sample[(n - held_out) * dim..] } else { &sample[..] };
    let is_few = options.nbits > 0 && held_out == 0 && n < rounded.centroids.len() / dim * FEW_PER_CENTROID;
    let codec = fit(backend, dim, held_out_rows, is_few, rounded, options)?;
    Ok(Codec::new(options.kind, options.seed, in_units(&codec, unit))?)
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
    is_few: bool,
    RoundedCentroids { centroids, scale: centroid_scale }: RoundedCentroids,
    options: &TrainOptions,
) -> Result<CodecParams> {
    let real: Vec<f32> = centroids.iter().map(|&c| f32::from(c) * centroid_scale).collect();
    let codes = backend.assign(&backend.load_centroids(dim, &centroids)?, rows)?;
    let least_step = least_step(dim, &centroids, centroid_scale);
    let (levels, form, rule) = match options.kind {
        CodecKind::Selvedge => {
            let rule = if options.nbits < REFIT_NBITS { WeightRule::KeepLength } else { WeightRule::KeepLengthRefit };
            let levels = if matches!(options.nbits, 1 | 2) { trellis(options.nbits) } else { lloyd_max(options.nbits) };
            (levels, ResidualForm::Orthogonal, rule)
        }
        CodecKind::ColbertV2 => {
            let levels = quantiles(options.nbits, &mut residuals(dim, rows, &real, &codes), least_step);
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
    let mut stats = stats_of(backend, &codec, rows, &real, &codes)?;
    if is_few {
        let rows = &rows[..rows.len().min(MOST_SECOND * dim)];
        stats.extend(stats_of(backend, &codec, rows, &real, &second_nearest(dim, rows, &real, &codes))?);
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
mod tests {
    use super::*;
    use selvedge_backend::{CompressedPassages, Cpu, pack_codes, pack_weights};

    const DIM: usize = 64;
    const N: usize = 3000;

    /// Unit rows around a few topics.
    fn rows() -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut normal = || (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
        let topics: Vec<f32> = (0..10 * DIM).map(|_| normal()).collect();
        let mut rows: Vec<f32> = (0..N * DIM).map(|i| topics[i / DIM % 10 * DIM + i % DIM] + 0.7 * normal()).collect();
        for row in rows.chunks_exact_mut(DIM) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        rows
    }

    /// Mean squared errors of the decoded vectors and of the centroids alone.
    fn errors(kind: CodecKind, nbits: u8) -> (f64, f64) {
        let backend = Cpu::new().unwrap();
        let mut options = TrainOptions::new(nbits, 16);
        options.kind = kind;
        let codec = train(&backend, DIM, rows(), &options, &()).unwrap();
        let mut rotated = rows();
        let (codes, packed) = codec.compressor(&backend).unwrap().compress(&backend, &mut rotated).unwrap();
        let passages = CompressedPassages {
            offsets: [0u32, N as u32].iter().flat_map(|o| o.to_le_bytes()).collect::<Vec<u8>>().into(),
            codes: pack_codes(&codes, codec.params.code_bits()).into(),
            residuals: packed.residuals.into(),
            weights: pack_weights(&packed.weights, codec.params.weight_bits).into(),
        };
        let resident = backend.load_codec(codec.params.clone()).unwrap();
        let back = backend.decompress(&backend.load_passages(&resident, passages).unwrap(), 0..N).unwrap();
        let error = |other: &dyn Fn(usize) -> f32| {
            rotated.iter().enumerate().map(|(i, x)| f64::from(x - other(i)).powi(2)).sum::<f64>() / N as f64
        };
        let centroid = |i: usize| {
            let c = codec.params.centroids[codes[i / DIM] as usize * DIM + i % DIM];
            f32::from(c) * codec.params.centroid_scale
        };
        (error(&|i| back[i]), error(&centroid))
    }

    /// The error of each nbits, as a share of the residual, is that of its levels on a normal source, with a margin for
    /// the rounding of weights and for 64 dims: 0.282 and 0.077 (trellis), 0.0095 (Lloyd-Max, Max 1960), 0.0001 (8
    /// bits). From 4 bits on the refit of levels makes it smaller; without the refit it is 0.0086 and 0.0004 here.
    #[test]
    fn errors_are_what_the_levels_promise() {
        for (nbits, most) in [(1u8, 0.34), (2, 0.100), (4, 0.0081), (8, 0.0002)] {
            let (error, residual) = errors(CodecKind::Selvedge, nbits);
            assert!(error < most * residual, "{nbits} bits leave {} of the residual", error / residual);
        }
        let (error, residual) = errors(CodecKind::Selvedge, 0);
        assert!(error <= residual, "0 bits: {error} of {residual}");
    }

    #[test]
    fn ours_is_better_than_quantiles_at_the_same_bytes() {
        for nbits in [1, 2, 4] {
            let (ours, theirs) = (errors(CodecKind::Selvedge, nbits).0, errors(CodecKind::ColbertV2, nbits).0);
            assert!(ours < theirs, "{nbits} bits: {ours} against {theirs}");
        }
    }

    /// Nearly every vector is a centroid here, so that only held-out vectors have residuals.
    #[test]
    fn weights_are_fitted_to_held_out_vectors() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut rows: Vec<f32> = (0..20_000 * 8).map(|_| rng.random::<f32>() - 0.5).collect();
        for row in rows.chunks_exact_mut(8) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        let options = TrainOptions { iterations: 0, ..TrainOptions::new(2, 19_000) };
        let codec = train(&Cpu::new().unwrap(), 8, rows, &options, &()).unwrap();
        let (least, most) = (codec.params.residual_weights[0], codec.params.residual_weights[31]);
        assert!(least > most / 8, "residual weights go from {least} to {most}");
    }

    #[test]
    fn bad_samples_are_errors() {
        let train = |dim, sample: Vec<f32>, nbits| {
            train(&Cpu::new().unwrap(), dim, sample, &TrainOptions::new(nbits, 4), &()).map(|_| ())
        };
        assert!(matches!(train(12, vec![0.5; 24], 2), Err(Error::Dim { dim: 12 })));
        assert!(matches!(train(8, vec![], 2), Err(Error::EmptySample)));
        assert!(matches!(train(8, vec![0.5; 20], 2), Err(Error::PartialEmbedding { len: 20, dim: 8 })));
        assert!(matches!(train(8, vec![0.5; 16], 3), Err(Error::Nbits { nbits: 3 })));
        let mut sample = vec![0.1; 80];
        sample[33] = f32::NAN;
        assert!(matches!(train(8, sample, 2), Err(Error::NotFinite { embedding: 4 })));
        // One embedding, or only zeros, still train a codec.
        assert!(train(8, vec![0.5; 8], 2).is_ok() && train(8, vec![0.0; 800], 1).is_ok());
    }

    #[test]
    fn every_number_of_weight_bits_is_trained_or_an_error() {
        for kind in [CodecKind::Selvedge, CodecKind::ColbertV2] {
            for weight_bits in [0, 1, 2, 8, 9, 40, 64, 255] {
                let options = TrainOptions { kind, weight_bits, ..TrainOptions::new(2, 16) };
                match train(&Cpu::new().unwrap(), DIM, rows()[..50 * DIM].to_vec(), &options, &()) {
                    Ok(codec) => assert_eq!(codec.params.residual_weights.len(), 1 << weight_bits),
                    Err(error) => assert!(weight_bits > 8 && matches!(error, Error::WeightBits { .. }), "{error}"),
                }
            }
        }
    }

    #[test]
    fn numbers_of_centroids_and_points_are_clamped() {
        let most = usize::MAX;
        for (num_centroids, points_per_centroid, expected) in
            [(0, 48, 1..=1), (1, 0, 1..=1), (most, most, 2..=50), (16, 0, 2..=16), (16, most, 2..=16)]
        {
            let options = TrainOptions { points_per_centroid, ..TrainOptions::new(2, num_centroids) };
            let codec = train(&Cpu::new().unwrap(), DIM, rows()[..50 * DIM].to_vec(), &options, &()).unwrap();
            assert!(expected.contains(&codec.params.num_centroids()), "{num_centroids}, {points_per_centroid}");
        }
    }
}
