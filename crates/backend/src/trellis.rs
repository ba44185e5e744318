//! What the search for a trellis row minimizes: a component's distance from a level as a small integer, so that sums
//! are exact in any order and every backend finds the same row.
//!
//! ```text
//! target(component) = round(clamp(component * factor, -bound, bound)), one f32 multiplication, ties to even
//! cost(target, label) = (target - levels[label])^2 >> (16 + nbits)
//! ```
//!
//! **Range.** A path's cost is a sum of up to `2^15` of these; what a search keeps of it is how much it is above the
//! least of all states' costs, brought up to date once a byte, that is every `K = 8 / nbits` components. With `B`
//! the largest cost of a component ([`largest_cost`]), these differences need no more than `16 - nbits` bits, so a u16
//! has room for the `nbits` that a path took last:
//!
//! - Any state leads to any other in `K - 1` components, because that many shift all its `8 - nbits` bits out. So a
//!   state's cost is at most the least cost `K - 1` components ago plus `(K - 1) B`, and no cost is below that least:
//!   after `K - 1` components or more all costs are within `(K - 1) B` of each other.
//! - A search that begins in one state gives the others a cost of `(K - 1) B + 1` to begin with
//!   ([`unreachable_cost`]). As `K - 1` components later the right beginning has led everywhere for less, no path from
//!   a wrong one outlives the first byte: the result is that of an infinite cost.
//! - So a byte begins with costs of `(K - 1) B + 1` at most and ends with `(2 K - 1) B + 1` at most, which by the
//!   choice of `B` is below `2^(16 - nbits)`.
//!
//! `D` appears nowhere, and components that are infinite or no number have targets within the bound like all others.

use crate::{TRELLIS_LEVELS, layout::window_label};

/// Components on each side of a ring's joint that decide in which state it begins. At 128 dims and 2 bits, 40 of them
/// find rows that are .8 % farther than the nearest there are, and 64 rows that are .3 % farther; neither shows in a
/// ranking.
pub(crate) const JOINT: usize = 40;
/// Components of a ring that is so short that every state is tried at its joint.
pub(crate) const SHORT_RING: usize = 32;

/// The largest cost of one component, `B`: the module's docs have the bound that it is chosen by.
pub(crate) const fn largest_cost(nbits: usize) -> u32 {
    ((1 << (16 - nbits)) - 2) / (2 * (8 / nbits as u32) - 1)
}

/// A cost that puts every path from a state behind all paths from a state of cost 0.
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
    /// What a component is multiplied with.
    pub(crate) factor: f32,
    /// The largest target.
    pub(crate) bound: f32,
    nbits: usize,
}

impl TrellisMetric {
    /// The metric of a trellis of `nbits`, whose `levels (16) i8` are steps of `step`.
    pub(crate) fn new(nbits: u8, levels: &[i8], step: f32) -> Self {
        let nbits = usize::from(nbits);
        let largest = levels.iter().map(|level| level.unsigned_abs()).max().unwrap_or(0).max(1);
        let unit = reach(nbits) as f32 / (3.0 * f32::from(largest));
        let levels = std::array::from_fn(|label| (f32::from(levels[label]) * unit).round_ties_even() as i16);
        let bound = reach(nbits) as f32 - (f32::from(largest) * unit).round_ties_even();
        Self { levels, factor: unit / step, bound, nbits }
    }

    /// A component on the grid.
    #[inline(always)]
    pub(crate) fn target(&self, component: f32) -> i16 {
        // By way of i32, because a vector of f32 becomes one of i32 in one instruction.
        (component * self.factor).clamp(-self.bound, self.bound).round_ties_even() as i32 as i16
    }

    /// What it costs that the level of `window` stands for a component.
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
