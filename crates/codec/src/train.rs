//! Training: a sample of embeddings in, a [`Codec`] out.
//!
//! ```text
//! sample (N, D) f32 --shuffle, rotate--> k-means (K, D) --round to int8--> centroids
//! held-out rows --assign, residual, levels--> stats --> 16 or 32 pairs (norm, gain), rounded to integers
//! ```

use crate::kmeans::{Rounded, kmeans};
use crate::levels::{Levels, lloyd_max, quantiles, trellis};
use crate::trained::in_units;
use crate::weights::{Stats, to_integers, train_centroid_weights, train_pairs};
use crate::{Codec, CodecKind, Error, Progress, Result, lengths, plan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, CheckedCodec, CodecParams, ResidualForm, Rotation, TABLE_LIMIT, WeightRule};

/// What training may be told.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Which codec.
    pub kind: CodecKind,
    /// Bits of a residual component: 0, 1, 2, 4 or 8.
    pub nbits: u8,
    /// Number of centroids; fewer are made when the sample has fewer distinct embeddings.
    pub num_centroids: usize,
    /// Rounds of k-means; as many run.
    pub iterations: usize,
    /// Sampled embeddings that k-means looks at, for each centroid, at most.
    pub points_per_centroid: usize,
    /// Bits of a vector's weight index, at most 8.
    pub weight_bits: u8,
    /// Seed of everything random.
    pub seed: u64,
}

impl TrainOptions {
    /// The defaults for `nbits` and `num_centroids`; sources in [`plan`] and the crate docs.
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
        }
    }
}

/// From so many bits on, levels are chosen anew for the weight entry a vector got. Below, the smaller error
/// that it brings is the wrong one: it shrinks vectors, and ranks worse.
const REFIT_NBITS: u8 = 4;

/// Fewer held-out embeddings than this are too few to fit levels and weights to.
const LEAST_HELD_OUT: usize = 1000;

/// Trains a codec on `sample (N, D) f32`, which is used up: it is shuffled, scaled and rotated in place.
///
/// # Errors
/// If the sample is empty, not in rows of `dim`, not finite or of lengths that a codec cannot keep, if `dim` or an
/// option is out of range, or the backend fails.
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
    // Small samples hold nothing out: k-means sees every vector, and levels see what it saw.
    let held_out = Some(plan::held_out(n)).filter(|&rows| rows >= LEAST_HELD_OUT).unwrap_or(0);
    let num_centroids = options.num_centroids.clamp(1, n - held_out);
    let points = (n - held_out).min(num_centroids.saturating_mul(options.points_per_centroid)).max(num_centroids);
    let rounded =
        kmeans(backend, dim, &sample[..points * dim], num_centroids, options.iterations, options.seed, progress)?;
    let held_out_rows = if held_out > 0 { &sample[(n - held_out) * dim..] } else { &sample[..] };
    let codec = fit(backend, dim, held_out_rows, rounded, options)?;
    Ok(Codec::new(options.kind, options.seed, in_units(&codec, unit))?)
}

fn check(dim: usize, sample: &[f32], options: &TrainOptions) -> Result<()> {
    if dim == 0 || !dim.is_multiple_of(8) {
        return Err(Error::Dim { dim });
    }
    if sample.is_empty() || !sample.len().is_multiple_of(dim) {
        return Err(Error::EmptySample);
    }
    if !matches!(options.nbits, 0 | 1 | 2 | 4 | 8) {
        return Err(Error::Nbits { nbits: options.nbits });
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

/// Fits levels and weights to held-out rows.
fn fit<B: Backend>(
    backend: &B,
    dim: usize,
    rows: &[f32],
    Rounded { centroids, scale: centroid_scale }: Rounded,
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
    // A codec with one scale, to find out which levels the held-out vectors take before any refit.
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
    let packed = backend.compress(&backend.load_codec(CheckedCodec::new(codec.clone())?)?, rows, &codes)?;
    let mut w = vec![0i8; if options.nbits == 0 { 0 } else { dim }];
    let row_bytes = codec.row_bytes();
    let stats: Vec<Stats> = rows
        .chunks_exact(dim)
        .zip(&codes)
        .enumerate()
        .map(|(i, (x, &code))| {
            let row = &packed.residuals[i * row_bytes..][..row_bytes];
            w.iter_mut().enumerate().for_each(|(d, level)| *level = codec.level(row, d));
            Stats::new(x, &real[code as usize * dim..][..dim], &w)
        })
        .collect();
    let pairs = match options.kind {
        CodecKind::Selvedge => train_pairs(&stats, 1 << options.weight_bits),
        CodecKind::ColbertV2 => {
            let g = f64::from(step);
            let mut lengths: Vec<f64> =
                stats.iter().map(|s| 1.0 / (s.cc + 2.0 * g * s.cw + g * g * s.ww).sqrt().max(1e-6)).collect();
            train_centroid_weights(&mut lengths, 1 << options.weight_bits).into_iter().map(|n| (n, n * g)).collect()
        }
    };
    codec.rule = rule;
    set_weights(&mut codec, &pairs, options.weight_bits, least_step);
    Ok(codec)
}

/// The least that one unit of gain may be beside one of norm, so that no entry of a centroid table meets its bound:
/// `|dot(c8, q8)| <= 127 * sum |c8|`, whatever the query. Where residuals are nearly zero, residual_weights would ask for less; then
/// they lose their last bits, and not the table its first.
fn least_step(dim: usize, centroids: &[i8], centroid_scale: f32) -> f32 {
    let sum = |row: &[i8]| row.iter().map(|c| u32::from(c.unsigned_abs())).sum::<u32>();
    let largest = 127.0 * f64::from(centroids.chunks_exact(dim).map(sum).max().unwrap_or(0));
    (f64::from(centroid_scale) * largest / f64::from(TABLE_LIMIT)) as f32
}

/// Writes real pairs into the codec as small integers; `least_step` bounds the table factor.
fn set_weights(codec: &mut CodecParams, pairs: &[(f64, f64)], weight_bits: u8, least_step: f32) {
    let (centroid_weights, residual_weights): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    codec.weight_bits = weight_bits;
    let limit = CodecParams::residual_weight_limit(codec.dim, &codec.levels);
    if codec.rule == WeightRule::UnitNorm {
        // Both integers must keep one ratio for every entry, so they share one limit. The ratio is a step of the
        // levels, which has its bound already.
        (codec.centroid_weights, codec.centroid_weight_step) = to_integers(&centroid_weights, limit, 0.0);
        codec.residual_weights.clone_from(&codec.centroid_weights);
        codec.residual_weight_step = codec.centroid_weight_step * (residual_weights[0] / centroid_weights[0]) as f32;
        return;
    }
    (codec.centroid_weights, codec.centroid_weight_step) = to_integers(&centroid_weights, 255, 0.0);
    let least_residual_weight = codec.centroid_weight_step * least_step;
    // No residual to weigh against: any unit does that the bound allows.
    let least_residual_weight =
        if codec.nbits == 0 { least_residual_weight.max(NO_RESIDUAL_UNIT) } else { least_residual_weight };
    (codec.residual_weights, codec.residual_weight_step) = to_integers(&residual_weights, limit, least_residual_weight);
}

/// The gain unit of a codec without residuals: one step of a query (about 1 / 360) times this is about 2^-24, which
/// keeps sums near 2^24 for unit vectors.
const NO_RESIDUAL_UNIT: f32 = 2.5e-5;

/// Every component of every residual, for the quantiles.
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

    /// Mean squared error of what comes back, and of the centroids alone.
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

    /// Each nbits leaves no more of the residual than its levels leave of a normal source, with room for the scale's
    /// rounding and 64 dims: the trellis leaves .282 and .077, Lloyd-Max .0095 (Max 1960), and .0001 at 8 bits. From 4
    /// bits on levels chosen anew for the scale leave less; without them it is .0086 and .0004 here.
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

    /// Nearly every vector is a centroid here, so only those that k-means has not seen have residuals.
    #[test]
    fn scales_are_fitted_to_vectors_that_kmeans_has_not_seen() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut rows: Vec<f32> = (0..20_000 * 8).map(|_| rng.random::<f32>() - 0.5).collect();
        for row in rows.chunks_exact_mut(8) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        let options = TrainOptions { iterations: 0, ..TrainOptions::new(2, 19_000) };
        let codec = train(&Cpu::new().unwrap(), 8, rows, &options, &()).unwrap();
        let (least, most) = (codec.params.residual_weights[0], codec.params.residual_weights[31]);
        assert!(least > most / 8, "gains go from {least} to {most}");
    }

    #[test]
    fn bad_samples_are_errors() {
        let train = |dim, sample: Vec<f32>, nbits| {
            train(&Cpu::new().unwrap(), dim, sample, &TrainOptions::new(nbits, 4), &()).map(|_| ())
        };
        assert!(matches!(train(12, vec![0.5; 24], 2), Err(Error::Dim { dim: 12 })));
        assert!(matches!(train(8, vec![], 2), Err(Error::EmptySample)));
        assert!(matches!(train(8, vec![0.5; 16], 3), Err(Error::Nbits { nbits: 3 })));
        let mut sample = vec![0.1; 80];
        sample[33] = f32::NAN;
        assert!(matches!(train(8, sample, 2), Err(Error::NotFinite { embedding: 4 })));
        // One embedding, or none but zeros, still makes a codec.
        assert!(train(8, vec![0.5; 8], 2).is_ok() && train(8, vec![0.0; 800], 1).is_ok());
    }
}
