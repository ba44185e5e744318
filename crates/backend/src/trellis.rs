//! The cost that the search for a trellis row minimizes: the squared distance of a component from a level as a small
//! integer, so that sums are exact in any order and every backend finds the same row.
//!
//! ```text
//! target(component) = round(clamp(component * factor, -bound, bound)), one f32 multiplication, ties to even
//! cost(target, label) = (target - levels[label])^2 >> (16 + nbits)
//! ```
//!
//! **Range.** A state is the `8 - nbits` bits that two neighbouring windows share. The cost of a path is a sum of up to
//! `2^15` costs of components. A search keeps the difference between the cost of a path and the least cost of all
//! states; the least cost is updated once per byte, that is every `M = 8 / nbits` components. With `B` the largest cost
//! of a component ([`largest_cost`]), these differences need at most `16 - nbits` bits, so a u16 also holds the last
//! `nbits` bits of a path:
//!
//! - Any state leads to any other in `M - 1` components, because these shift out all its `8 - nbits` bits. So a state's
//!   cost is at most `(M - 1) B` above the least cost of `M - 1` components before, and no cost is below that least
//!   cost: after `M - 1` components or more all costs are within `(M - 1) B` of each other.
//! - A search that begins in one state gives the other states an initial cost of `(M - 1) B + 1`
//!   ([`unreachable_cost`]). After `M - 1` components paths from that one state reach every state for less, so no path
//!   from another state survives the first byte: the result is the same as with an infinite initial cost.
//! - So a byte begins with costs of `(M - 1) B + 1` at most and ends with `(2 M - 1) B + 1` at most, which by the
//!   choice of `B` is below `2^(16 - nbits)`.
//!
//! The bound does not depend on `D`. Infinite and NaN components have targets within the bound like all others.

use crate::{TRELLIS_LEVELS, layout::window_label};

/// Number of components on each side of a ring's joint, where its end meets its beginning, that decide in which state
/// it begins. At 128 dimensions and 2 bits, 40 components find rows that are 0.8 % farther from the components than the
/// nearest rows are, and 64 find rows that are 0.3 % farther; neither changes rankings.
pub(crate) const JOINT: usize = 40;
/// Largest number of components of a ring for which every state is tried at its joint.
pub(crate) const SHORT_RING: usize = 32;

/// The largest cost of one component, `B`; the module docs derive it.
pub(crate) const fn largest_cost(nbits: usize) -> u32 {
    ((1 << (16 - nbits)) - 2) / (2 * (8 / nbits as u32) - 1)
}

/// An initial cost so large that every path from its state costs more than all paths from a state of cost 0.
pub(crate) const fn unreachable_cost(nbits: usize) -> u32 {
    (8 / nbits as u32 - 1) * largest_cost(nbits) + 1
}

/// The largest distance of a target from a level, below `2^15`: its square costs no more than [`largest_cost`].
const fn reach(nbits: usize) -> u32 {
    (((largest_cost(nbits) + 1) << (16 + nbits)) - 1).isqrt()
}

/// Levels and targets on one grid. A third of [`reach`] is for the levels, so that targets have a bound of twice the
/// largest level: 3.5 standard deviations of normal components at 1 bit, 4.3 at 2.
pub(crate) struct TrellisMetric {
    /// The level of each label.
    pub(crate) levels: [i16; TRELLIS_LEVELS],
    /// Factor between a component and its target.
    pub(crate) factor: f32,
    /// The largest target.
    pub(crate) bound: f32,
    nbits: usize,
}

impl TrellisMetric {
    /// The metric of a trellis of `nbits`, whose `levels (16) i8` are in units of `step`.
    pub(crate) fn new(nbits: u8, levels: &[i8], step: f32) -> Self {
        let nbits = usize::from(nbits);
        let largest = levels.iter().map(|level| level.unsigned_abs()).max().unwrap_or(0).max(1);
        let unit = reach(nbits) as f32 / (3.0 * f32::from(largest));
        let levels = std::array::from_fn(|label| (f32::from(levels[label]) * unit).round_ties_even() as i16);
        let bound = reach(nbits) as f32 - (f32::from(largest) * unit).round_ties_even();
        Self { levels, factor: unit / step, bound, nbits }
    }

    /// The point of the grid that is nearest to a component, ties to even; 0 for NaN.
    #[inline(always)]
    pub(crate) fn target(&self, component: f32) -> i16 {
        // Above 2^23 the last bit of an f32 is 1, so that an addition rounds, and the integer is in the low bits.
        // Conversions of vectors of f32 to integers are not compiled to one instruction, because they saturate.
        const ROUND: f32 = 12_582_912.0;
        let scaled = component * self.factor;
        let clamped = if scaled.is_nan() { 0.0 } else { scaled.clamp(-self.bound, self.bound) };
        (clamped + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i16
    }

    /// Cost of encoding a component by the level of `window`.
    pub(crate) fn cost(&self, target: i16, window: u8) -> u64 {
        let label = window_label(window, self.nbits as u8);
        let distance = i64::from(target) - i64::from(self.levels[usize::from(label)]);
        (distance * distance) as u64 >> (16 + self.nbits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_fit_their_bits() {
        for nbits in [1u8, 2] {
            let n = usize::from(nbits);
            let bytes_end = unreachable_cost(n) + 8 / u32::from(nbits) * largest_cost(n);
            assert!(bytes_end < 1 << (16 - nbits), "{nbits} bits: {bytes_end}");
            for levels in [[0; 16], [1; 16], [-6; 16], [127; 16], [-127; 16]] {
                let metric = TrellisMetric::new(nbits, &levels, 0.3);
                for component in [0.0, -1.0, 1e9, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                    let target = metric.target(component);
                    assert!((0..=255).all(|window| metric.cost(target, window) <= u64::from(largest_cost(n))));
                    assert!(target.checked_sub(metric.levels[0]).is_some(), "a distance fits an i16");
                }
            }
        }
    }
}
