//! Levels: the values that packed residual bits are decoded to, and the cutoffs between buckets.
//!
//! - **[`CodecKind::Selvedge`](crate::CodecKind::Selvedge), 4 and 8 bits** ([`lloyd_max`]): Lloyd-Max levels of the
//!   standard normal distribution, because the components of a rotated unit residual, times `sqrt(D)`, are very nearly
//!   standard normal. Levels are integers within -127..=127, evenly spaced at 8 bits.
//! - **[`CodecKind::Selvedge`](crate::CodecKind::Selvedge), 1 and 2 bits** ([`trellis`]): 16 levels of a trellis,
//!   trained on normal noise (`examples/trellis.rs`) and rounded to integers within -6..=6. Their differences
//!   from the lowest level are within 0..=12, so `maxsim` with AVX2 can add ten pairs of products with int8
//!   query components in an i16. Mean squared errors on a normal source, compared with Lloyd-Max levels and
//!   with the bound `4^-bits`:
//!
//!   | bits | Lloyd-Max | trellis | bound |
//!   |---|---|---|---|
//!   | 1 | 0.363 | 0.282 | 0.250 |
//!   | 2 | 0.117 | 0.077 | 0.063 |
//! - **[`CodecKind::ColbertV2`](crate::CodecKind::ColbertV2)** ([`quantiles`]): quantiles of the held-out residual
//!   components with linear interpolation, cutoffs at `i / 2^nbits`, values at `(i + 1/2) / 2^nbits`
//!   (`bucket_cutoffs` and `bucket_weights` of the reference implementation).

use selvedge_backend::RowCoding;

/// Levels of one codec, with the size of one step and the cutoffs between buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Coding of levels in a row's bits.
    pub coding: RowCoding,
    /// Integer levels: `(2^nbits) i8`, ascending, or `(16) i8` of a trellis.
    pub levels: Vec<i8>,
    /// Size of one step: the decoded component is `level * step`.
    pub step: f32,
    /// Edges between buckets, `(2^nbits - 1) f32`, ascending; empty for a trellis.
    pub cutoffs: Vec<f32>,
}

/// Positive Lloyd-Max levels of the standard normal at 4 bits (J. Max, "Quantizing for minimum
/// distortion", IRE Trans. Inf. Theory 6, 1960, table I, 16 levels; more digits by iteration).
const NORMAL_4_BITS: [f32; 8] = [0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326];
/// Step with the least error of 255 evenly spaced levels on a standard normal source.
const NORMAL_8_BITS_STEP: f32 = 0.0310;

/// Returns the Lloyd-Max levels of the standard normal distribution; no levels at 0 bits.
///
/// # Panics
/// If `nbits` is not 0, 1, 2, 4 or 8.
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

/// Levels of 8 bits: `bucket - 128`, except that the lowest is -127 like the next, because -128 is out of range.
fn even_levels() -> Levels {
    let levels: Vec<i8> = (-128i32..128).map(|l| l.max(-127) as i8).collect();
    let mut cutoffs = midpoints(&levels, NORMAL_8_BITS_STEP);
    cutoffs[0] = cutoffs[1] - NORMAL_8_BITS_STEP;
    Levels { coding: RowCoding::Buckets, levels, step: NORMAL_8_BITS_STEP, cutoffs }
}

/// Returns the 16 levels of a trellis for the standard normal distribution, in the order of their labels
/// ([`selvedge_backend::trellis_label`]). They are the output of `examples/trellis.rs`; its test compares each level
/// with the mean of the components that are coded by it.
///
/// # Panics
/// If `nbits` is not 1 or 2.
pub fn trellis(nbits: u8) -> Levels {
    let (levels, step): ([i8; 16], f32) = match nbits {
        1 => ([-2, 2, -2, 2, 0, 6, 0, -6, -3, 2, 3, -2, -4, 1, 4, -1], 0.28961),
        2 => ([-1, 1, 3, -3, -4, -1, 1, 4, 6, 2, 0, -2, -6, 2, -2, 0], 0.35957),
        _ => panic!("nbits of a trellis is {nbits}, not 1 or 2"),
    };
    Levels { coding: RowCoding::Trellis { step }, levels: levels.to_vec(), step, cutoffs: Vec::new() }
}

/// Cutoffs half-way between neighbouring levels.
fn midpoints(levels: &[i8], step: f32) -> Vec<f32> {
    levels.windows(2).map(|pair| (f32::from(pair[0]) + f32::from(pair[1])) * 0.5 * step).collect()
}

/// Computes ColBERTv2's buckets: quantiles of the held-out residual `components`, which it sorts. The step is at least
/// `least_step`, so that small residuals use few distinct levels.
///
/// # Panics
/// If `components` is empty and `nbits` is not 0.
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
    let values: Vec<f32> = (0..buckets).map(|i| at((f64::from(i) + 0.5) / f64::from(buckets))).collect();
    let max = values.iter().fold(0f32, |m, x| m.max(x.abs()));
    let step = at_least(max / 127.0);
    let levels = values.iter().map(|x| (x / step).round() as i8).collect();
    Levels { coding: RowCoding::Buckets, levels, step, cutoffs }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of Lloyd-Max: each level is the mean of the normal distribution over its bucket.
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
        let values: Vec<f32> = l.levels.iter().map(|&v| f32::from(v) * l.step).collect();
        for (value, expected) in values.iter().zip([0.125, 0.375, 0.625, 0.875]) {
            assert!((value - expected).abs() < 0.004, "{value} {expected}");
        }
        let coarse = quantiles(2, &mut components, 0.125);
        assert_eq!((coarse.levels, coarse.step), (vec![1, 3, 5, 7], 0.125));
        assert_eq!(quantiles(0, &mut components, 0.125).step, 0.125);
    }
}
