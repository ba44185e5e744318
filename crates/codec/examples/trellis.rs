//! Trains the levels of the trellis codec on normal noise, and prints them as `selvedge_codec::levels` has them.
//!
//! ```text
//! cargo run --release -p selvedge-codec --example trellis [STARTS]      # two minutes at 1500
//! ```
//!
//! Lloyd's algorithm, with Viterbi's algorithm instead of the choice of the nearest level: quantize noise `(N, 128)`,
//! move each of the 16 levels to the mean of the components that were coded by it, repeat. The result depends on the
//! initial order of the levels, so `STARTS` random orders run for 8 rounds each, and the best one runs for 20 more.
//! Levels are then rounded to integers within -6..=6 with the step of least error.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, CheckedCodec, CodecParams, Cpu, ResidualForm, RowCoding, TRELLIS_LEVELS, WeightRule};

const DIM: usize = 128;
/// Step of the levels during training, before they are rounded to integers of at most [`LARGEST`].
const FINE_STEP: f32 = 2.5 / 127.0;
/// Largest rounded level. Two levels differ by at most 12, so `maxsim` with AVX2 can add ten pairs of
/// products with int8 query components in an i16. Finer levels have no smaller error (see "Tried without
/// gain" in the crate's README).
const LARGEST: f32 = 6.0;

/// Returns `(rows, D) f32` of standard normal noise (Box-Muller).
fn noise(rows: usize, seed: u64) -> Vec<f32> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut normal =
        || (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (std::f64::consts::TAU * rng.random::<f64>()).cos();
    (0..rows * DIM).map(|_| normal() as f32).collect()
}

/// Codec that quantizes components as they are, with one centroid of zeros.
fn codec(nbits: u8, levels: [i8; TRELLIS_LEVELS], step: f32) -> CheckedCodec {
    let codec = CodecParams {
        dim: DIM,
        nbits,
        centroids: vec![0; DIM].into(),
        centroid_scale: 1.0,
        coding: RowCoding::Trellis { step },
        levels: levels.to_vec(),
        cutoffs: Vec::new(),
        form: ResidualForm::Raw,
        rule: WeightRule::KeepLength,
        rotation: None,
        weight_bits: 0,
        centroid_weights: vec![1],
        residual_weights: vec![1],
        centroid_weight_step: 1.0,
        residual_weight_step: step,
    };
    CheckedCodec::new(codec).expect("levels in range")
}

/// Quantizes `rows (N, D)` and returns the mean squared error and, for each level, the mean of the components that were
/// coded by it (the level's own value if there are none).
fn quantize(nbits: u8, levels: [i8; TRELLIS_LEVELS], step: f32, rows: &[f32]) -> (f64, [f64; TRELLIS_LEVELS]) {
    let codec = codec(nbits, levels, step);
    let cpu = Cpu::new().expect("a cpu");
    let loaded = cpu.load_codec(codec.clone()).expect("a CPU never fails");
    let packed = cpu.compress(&loaded, rows, &vec![0; rows.len() / DIM]).expect("a CPU never fails");
    let (mut error, mut sums, mut counts) = (0.0, [0.0; TRELLIS_LEVELS], [0.0; TRELLIS_LEVELS]);
    for (x, row) in rows.chunks_exact(DIM).zip(packed.residuals.chunks_exact(codec.row_bytes())) {
        for (d, &x) in x.iter().enumerate() {
            let label = selvedge_backend::trellis_label(row, nbits, d) as usize;
            error += f64::from(x - f32::from(levels[label]) * step).powi(2);
            sums[label] += f64::from(x);
            counts[label] += 1.0;
        }
    }
    let mean = |l: usize| if counts[l] > 0.0 { sums[l] / counts[l] } else { f64::from(f32::from(levels[l]) * step) };
    (error / rows.len() as f64, std::array::from_fn(mean))
}

/// Rounds values to multiples of `step`, clamped to `-largest..=largest` steps.
fn round(values: [f64; TRELLIS_LEVELS], step: f32, largest: f32) -> [i8; TRELLIS_LEVELS] {
    values.map(|v| (v as f32 / step).round().clamp(-largest, largest) as i8)
}

/// Moves levels `rounds` times and returns the least error on the way with its levels.
fn lloyd(nbits: u8, mut values: [f64; TRELLIS_LEVELS], rounds: usize, rows: &[f32]) -> (f64, [f64; TRELLIS_LEVELS]) {
    let mut best = (f64::INFINITY, values);
    for _ in 0..rounds {
        let (error, means) = quantize(nbits, round(values, FINE_STEP, 127.0), FINE_STEP, rows);
        if error < best.0 {
            best = (error, values);
        }
        values = means;
    }
    best
}

/// Absolute values of the initial levels: about the positive ones of 16 equally probable normal values.
const QUANTILES: [f64; TRELLIS_LEVELS / 2] = [0.08, 0.24, 0.40, 0.58, 0.78, 1.01, 1.32, 1.86];

fn main() {
    let starts: u64 = std::env::args().nth(1).map_or(1500, |arg| arg.parse().expect("a number of starts"));
    let (few, many, held_out) = (noise(400, 1), noise(12_000, 2), noise(6000, 3));
    for nbits in [1u8, 2] {
        let from = |seed: u64| {
            let mut values: [f64; TRELLIS_LEVELS] =
                std::array::from_fn(|l| QUANTILES[l / 2] * if l % 2 == 0 { 1.0 } else { -1.0 });
            values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            lloyd(nbits, values, 8, &few)
        };
        let start = (0..starts).map(from).reduce(|a, b| if b.0 < a.0 { b } else { a }).expect("at least one start");
        let (error, values) = lloyd(nbits, start.1, 20, &many);
        let largest = values.iter().fold(0f64, |m, v| m.max(v.abs())) as f32;
        let rounded = (0..25).map(|i| largest / LARGEST * (0.96 + 0.004 * i as f32)).map(|step| {
            let levels = round(values, step, LARGEST);
            (quantize(nbits, levels, step, &many).0, levels, step)
        });
        let (_, levels, step) = rounded.reduce(|a, b| if b.0 < a.0 { b } else { a }).expect("steps");
        let kept = quantize(nbits, levels, step, &held_out).0;
        println!(
            "{nbits} bits: {levels:?}, step {step:.5}: error {kept:.4} on other noise, {error:.4} before rounding"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_codec::levels::{Levels, trellis};

    /// Apart from their rounding, the levels in use are a fixed point of Lloyd's algorithm, and their error is the
    /// documented one.
    #[test]
    fn levels_in_use_are_the_means_of_their_components() {
        for (nbits, most) in [(1, 0.285), (2, 0.078)] {
            let Levels { levels, step, .. } = trellis(nbits);
            let (error, means) = quantize(nbits, levels.clone().try_into().expect("sixteen"), step, &noise(1000, 4));
            assert!(error < most, "{nbits} bits err by {error}");
            for (level, mean) in levels.into_iter().zip(means) {
                let off = (f64::from(level) * f64::from(step) - mean).abs();
                assert!(off < 0.75 * f64::from(step), "{nbits} bits: level {level} is off its mean by {off}");
            }
        }
    }
}
