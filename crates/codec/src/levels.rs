//! What a bucket stands for, and where the next one begins.
//!
//! - **Ours from 4 bits on**: Lloyd-Max levels of the standard normal distribution, since a rotated unit
//!   residual's components (times `sqrt(D)`) are very nearly standard normal. They are rounded to small integers:
//!   4 bits within +-127, 8 bits evenly spaced.
//! - **Ours at 1 and 2 bits**: the 16 levels of a trellis, trained on normal noise (`examples/trellis.rs`) and
//!   rounded to integers within +-6, ten of whose products with a query fit an i16. Mean squared error of a
//!   normal source, beside Lloyd-Max and the bound `4^-bits`:
//!
//!   | bits | Lloyd-Max | trellis | bound |
//!   |---|---|---|---|
//!   | 1 | .363 | .282 | .250 |
//!   | 2 | .117 | .077 | .063 |
//! - **ColBERTv2**: quantiles of the held-out residual components, cutoffs at `i / 2^b`, weights at
//!   `(i + 1/2) / 2^b`, with linear interpolation.

use selvedge_backend::RowCoding;

/// Levels, the size of one level step in units of the compared component, and cutoffs.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// How a row's bits name them.
    pub coding: RowCoding,
    /// `(2^nbits) i8`, ascending, or `(16) i8` of a trellis.
    pub levels: Vec<i8>,
    /// `level * step` is the value put back.
    pub step: f32,
    /// `(2^nbits - 1) f32`, ascending; none for a trellis.
    pub cutoffs: Vec<f32>,
}

/// Positive Lloyd-Max levels of the standard normal at 4 bits (J. Max, "Quantizing for minimum
/// distortion", IRE Trans. Inf. Theory 6, 1960, table I, 16 levels; more digits by iteration).
const NORMAL_4_BITS: [f32; 8] = [0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326];
/// The step that loses least with 255 evenly spaced levels of a standard normal.
const NORMAL_8_BITS_STEP: f32 = 0.0310;

/// Lloyd-Max levels of the standard normal distribution.
///
/// # Panics
/// If `nbits` is none of 0, 1, 2, 4, 8.
pub fn lloyd_max(nbits: u8) -> Levels {
    let (positive, step): (Vec<i8>, f32) = match nbits {
        0 => return Levels { coding: RowCoding::Buckets, levels: Vec::new(), step: 1.0, cutoffs: Vec::new() },
        1 => (vec![1], 0.797_88),
        2 => (vec![3, 10], 1.5104 / 10.0),
        4 => {
            let step = NORMAL_4_BITS[7] / 127.0;
            (NORMAL_4_BITS.iter().map(|l| (l / step).round() as i8).collect(), step)
        }
        8 => return even_levels(),
        _ => panic!("nbits is {nbits}, not 0, 1, 2, 4 or 8"),
    };
    let levels: Vec<i8> = positive.iter().rev().map(|l| -l).chain(positive.iter().copied()).collect();
    let cutoffs = midpoints(&levels, step);
    Levels { coding: RowCoding::Buckets, levels, step, cutoffs }
}

/// 8 bits: level `bucket - 128`, the lowest two alike so that none is -128.
fn even_levels() -> Levels {
    let levels: Vec<i8> = (-128i32..128).map(|l| l.max(-127) as i8).collect();
    let mut cutoffs = midpoints(&levels, NORMAL_8_BITS_STEP);
    cutoffs[0] = cutoffs[1] - NORMAL_8_BITS_STEP;
    Levels { coding: RowCoding::Buckets, levels, step: NORMAL_8_BITS_STEP, cutoffs }
}

/// The levels of a trellis for the standard normal distribution, by label: what `examples/trellis.rs` prints, whose
/// test holds each to the mean of the components that take it.
///
/// # Panics
/// If `nbits` is neither 1 nor 2.
pub fn trellis(nbits: u8) -> Levels {
    let (levels, step): ([i8; 16], f32) = match nbits {
        1 => ([-2, 2, -2, 2, 0, 6, 0, -6, -3, 2, 3, -2, -4, 1, 4, -1], 0.28961),
        2 => ([-1, 1, 3, -3, -4, -1, 1, 4, 6, 2, 0, -2, -6, 2, -2, 0], 0.35957),
        _ => panic!("nbits of a trellis is {nbits}, not 1 or 2"),
    };
    Levels { coding: RowCoding::Trellis { step }, levels: levels.to_vec(), step, cutoffs: Vec::new() }
}

fn midpoints(levels: &[i8], step: f32) -> Vec<f32> {
    levels.windows(2).map(|pair| (f32::from(pair[0]) + f32::from(pair[1])) * 0.5 * step).collect()
}

/// ColBERTv2's buckets: quantiles of the held-out residual components, which this sorts. One step of a level is
/// `least_step` or more: where all residuals are small, few levels are used.
///
/// # Panics
/// If `components` is empty (and `nbits` is not 0).
pub fn quantiles(nbits: u8, components: &mut [f32], least_step: f32) -> Levels {
    let at_least = |step: f32| if step.max(least_step) > 0.0 { step.max(least_step) } else { 1.0 };
    if nbits == 0 {
        return Levels { step: at_least(0.0), ..lloyd_max(0) };
    }
    components.sort_unstable_by(f32::total_cmp);
    let at = |fraction: f64| {
        let place = fraction * (components.len() - 1) as f64;
        let (low, high) = (components[place.floor() as usize], components[place.ceil() as usize]);
        low + (high - low) * place.fract() as f32
    };
    let buckets = 1u32 << nbits;
    let cutoffs = (1..buckets).map(|i| at(f64::from(i) / f64::from(buckets))).collect();
    let weights: Vec<f32> = (0..buckets).map(|i| at((f64::from(i) + 0.5) / f64::from(buckets))).collect();
    let max = weights.iter().fold(0f32, |m, w| m.max(w.abs()));
    let step = at_least(max / 127.0);
    let levels = weights.iter().map(|w| (w / step).round() as i8).collect();
    Levels { coding: RowCoding::Buckets, levels, step, cutoffs }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each level is the mean of the normal distribution over its bucket: what Lloyd-Max means.
    #[test]
    fn levels_are_the_means_of_their_buckets() {
        for (nbits, tolerance) in [(1u8, 0.001), (2, 0.003), (4, 0.02)] {
            let Levels { levels, step, cutoffs, .. } = lloyd_max(nbits);
            for (b, &level) in levels.iter().enumerate() {
                let low = if b == 0 { -8.0 } else { f64::from(cutoffs[b - 1]) };
                let high = if b + 1 == levels.len() { 8.0 } else { f64::from(cutoffs[b]) };
                let (mut mass, mut moment) = (0.0, 0.0);
                for i in 0..20_000 {
                    let x = low + (high - low) * (f64::from(i) + 0.5) / 20_000.0;
                    let p = (-x * x / 2.0).exp();
                    mass += p;
                    moment += p * x;
                }
                let error = (moment / mass - f64::from(level) * f64::from(step)).abs();
                assert!(error < tolerance, "{nbits} bits, bucket {b}: off by {error}");
            }
        }
    }

    #[test]
    fn shapes_and_order() {
        for nbits in [1, 2, 4, 8] {
            let l = lloyd_max(nbits);
            assert_eq!((l.levels.len(), l.cutoffs.len()), (1 << nbits, (1 << nbits) - 1));
            assert!(l.levels.is_sorted() && l.cutoffs.is_sorted() && l.levels[0] >= -127);
        }
        assert_eq!(lloyd_max(2).levels, [-10, -3, 3, 10]);
    }

    #[test]
    fn quantiles_interpolate() {
        let mut components: Vec<f32> = (0..101).rev().map(|i| i as f32 / 100.0).collect();
        let l = quantiles(2, &mut components, 0.0);
        assert_eq!(l.cutoffs, [0.25, 0.5, 0.75]);
        let weights: Vec<f32> = l.levels.iter().map(|&v| f32::from(v) * l.step).collect();
        for (w, expected) in weights.iter().zip([0.125, 0.375, 0.625, 0.875]) {
            assert!((w - expected).abs() < 0.004, "{w} {expected}");
        }
        let coarse = quantiles(2, &mut components, 0.125);
        assert_eq!((coarse.levels, coarse.step), (vec![1, 3, 5, 7], 0.125));
        assert_eq!(quantiles(0, &mut components, 0.125).step, 0.125);
    }
}
