//! The row of a trellis nearest to an embedding's components: Viterbi's algorithm around a ring.
//!
//! ```text
//! state s between two components: the 8 - nbits bits that their windows share
//! cost'[s'] = min over the nbits bits a that leave: cost[s] + (level(w) - target)^2,
//!             w = s' << nbits | a,  s = w mod 2^(8 - nbits)
//! ```
//!
//! A row is a ring, so its path must end in the state that it began in. That state is found first, as the one
//! that the best free path through the ring's joint takes there; the best path from it to itself is the row.
//! Inlined like the steps beside it: loops of eight lanes become registers of the caller's instruction set.

use super::steps::LANES;
use crate::{Codec, RowCoding, layout::window_label};
use std::ops::Range;

/// Windows, and states at 1 bit, at most.
const WINDOWS: usize = 256;
const MAX_STATES: usize = 128;
/// Components on each side of the joint that the free path sees. At 128 dims and 2 bits, 40 of them find rows that
/// are .8 % farther than the nearest there are, and 64 rows that are .3 % farther; neither shows in a ranking.
const JOINT: usize = 40;
/// Components of a ring that is so short that every state is tried at its joint.
const SHORT_RING: usize = 32;
/// A cost that no path of finite targets has.
const UNREACHABLE: f32 = 1e30;

/// A trellis of `NBITS` and room for one path.
pub(super) struct Trellis<const NBITS: usize> {
    /// One over the step of a level.
    inverse_step: f32,
    /// Level of window `s' << NBITS | a` at `a * states + s'`.
    levels: [f32; WINDOWS],
    /// Targets in the order of the row's bits, `(D) f32`.
    targets: Vec<f32>,
    /// The bits that left on the best way to each state, `(steps, states) u8`.
    leaving: Vec<u8>,
    /// The window of each component in the order of the row's bits, `(D) u8`.
    windows: Vec<u8>,
}

impl<const NBITS: usize> Trellis<NBITS> {
    const STATES: usize = WINDOWS >> NBITS;
    const BRANCHES: usize = 1 << NBITS;

    /// A trellis for `codec`, if it is one of `NBITS`.
    pub(super) fn new(codec: &Codec) -> Option<Self> {
        let RowCoding::Trellis { step } = codec.coding else { return None };
        if codec.nbits as usize != NBITS {
            return None;
        }
        let mut levels = [0f32; WINDOWS];
        for window in 0..WINDOWS {
            let level = codec.levels[window_label(window as u8, codec.nbits) as usize];
            levels[window % Self::BRANCHES * Self::STATES + (window >> NBITS)] = f32::from(level);
        }
        let steps = codec.dim.max(2 * JOINT);
        Some(Self {
            inverse_step: 1.0 / step,
            levels,
            targets: vec![0.0; codec.dim],
            leaving: vec![0; steps * Self::STATES],
            windows: vec![0; codec.dim],
        })
    }

    /// The row `(W) u8` nearest to `components (D) f32`, and its levels `(D) f32`.
    #[inline(always)]
    pub(super) fn quantize(&mut self, components: &[f32], row: &mut [u8], levels: &mut [f32]) {
        let (dim, planes) = (components.len(), 8 / NBITS);
        for (plane, components) in components.chunks_exact(row.len()).enumerate() {
            for (byte, &component) in components.iter().enumerate() {
                self.targets[byte * planes + plane] = component * self.inverse_step;
            }
        }
        let joint = if dim <= SHORT_RING { self.best_joint(dim) } else { self.likely_joint(dim) };
        self.walk(0, dim, Some(joint));
        self.trace(0, 0..dim, joint);
        row.fill(0);
        for (at, &window) in self.windows.iter().enumerate() {
            let (byte, plane) = (at / planes, at % planes);
            row[byte] |= (window & (Self::BRANCHES - 1) as u8) << (plane * NBITS);
            let window = usize::from(window);
            levels[plane * row.len() + byte] = self.levels[window % Self::BRANCHES * Self::STATES + (window >> NBITS)];
        }
    }

    /// The state of the best ring at its joint: tries them all.
    #[inline(always)]
    fn best_joint(&mut self, dim: usize) -> usize {
        let mut best = (f32::INFINITY, 0);
        for state in 0..Self::STATES {
            let cost = self.walk(0, dim, Some(state))[state];
            best = if cost < best.0 { (cost, state) } else { best };
        }
        best.1
    }

    /// The state at the joint of the best free path through it, half of which lies before and half behind it; a ring
    /// that is shorter than the path is walked around more than once.
    #[inline(always)]
    fn likely_joint(&mut self, dim: usize) -> usize {
        let start = JOINT.next_multiple_of(dim) - JOINT;
        let costs = self.walk(start, 2 * JOINT, None);
        let end = (0..Self::STATES).fold(0, |best, state| if costs[state] < costs[best] { state } else { best });
        self.trace(start, JOINT..2 * JOINT, end)
    }

    /// Finds the best ways to every state over `steps` components of the ring from `start` on, from any state or
    /// from one alone; gives back their costs.
    #[inline(always)]
    fn walk(&mut self, start: usize, steps: usize, from: Option<usize>) -> [f32; MAX_STATES] {
        let mut costs = [if from.is_some() { UNREACHABLE } else { 0.0 }; MAX_STATES];
        if let Some(state) = from {
            costs[state] = 0.0;
        }
        let dim = self.targets.len();
        for step in 0..steps {
            let target = self.targets[(start + step) % dim];
            let leaving = &mut self.leaving[step * Self::STATES..][..Self::STATES];
            advance::<NBITS>(&self.levels, target, &mut costs, leaving);
        }
        costs
    }

    /// Follows the way that led to `state` at the end of `steps` of a walk from `start` on back to their beginning;
    /// writes its windows and gives back the state that it came from.
    #[inline(always)]
    fn trace(&mut self, start: usize, steps: Range<usize>, mut state: usize) -> usize {
        let dim = self.targets.len();
        for step in steps.rev() {
            let window = state << NBITS | usize::from(self.leaving[step * Self::STATES + state]);
            self.windows[(start + step) % dim] = window as u8;
            state = window % Self::STATES;
        }
        state
    }
}

/// One component: the costs of all states behind it, and which bits left on the best way to each.
#[inline(always)]
fn advance<const NBITS: usize>(
    levels: &[f32; WINDOWS],
    target: f32,
    costs: &mut [f32; MAX_STATES],
    leaving: &mut [u8],
) {
    let (states, branches) = (WINDOWS >> NBITS, 1 << NBITS);
    // States by the bits that leave, then by those that stay: what one branch reads is consecutive.
    let mut before = [0f32; MAX_STATES];
    let stay = states / branches;
    for leave in 0..branches {
        for high in 0..stay {
            before[leave * stay + high] = costs[high << NBITS | leave];
        }
    }
    for block in (0..states).step_by(LANES) {
        let (mut best, mut bits) = ([f32::INFINITY; LANES], [0u32; LANES]);
        for leave in 0..branches {
            let levels: &[f32; LANES] = levels[leave * states + block..][..LANES].try_into().expect("eight");
            let before: &[f32; LANES] = before[leave * stay + block % stay..][..LANES].try_into().expect("eight");
            for lane in 0..LANES {
                let error = levels[lane] - target;
                let cost = before[lane] + error * error;
                let better = cost < best[lane];
                best[lane] = if better { cost } else { best[lane] };
                bits[lane] = if better { leave as u32 } else { bits[lane] };
            }
        }
        costs[block..block + LANES].copy_from_slice(&best);
        leaving[block..block + LANES].iter_mut().zip(bits).for_each(|(out, bits)| *out = bits as u8);
    }
}
