//! The rows of a trellis nearest to the components of embeddings: Viterbi's algorithm around a ring, one embedding per
//! lane.
//!
//! ```text
//! state s between two components: the 8 - nbits bits that their windows share
//! cost'[s'] = min over the nbits bits a that leave: cost[s] + cost(target, level(w)), the lowest a among equals,
//!             w = s' << nbits | a,  s = w mod 2^(8 - nbits)
//! ```
//!
//! A row is a ring, so its path must end in the state in which it began. That state is found first: it is the one that
//! the best free path takes at the joint, where the ring's end meets its beginning. The best path from this state to
//! itself is the row.
//!
//! Costs are the integers of [`crate::trellis`], whose docs prove that they fit u16. A lane of a register is one
//! embedding, so states are addressed in memory and nothing is shuffled. A cost is stored above the bits of its state
//! that leave next, so that one minimum finds the cheapest path and its last bits.

use super::lanes::{LANES, Lanes};
use crate::{
    CodecParams,
    layout::window_label,
    trellis::{JOINT, SHORT_RING, TrellisMetric, unreachable_cost},
};
use std::{array, ops::Range};

/// Number of windows, and maximum number of states (at 1 bit).
const WINDOWS: usize = 256;
const MAX_STATES: usize = 128;
/// Number of 16-bit words for the bits that left on the best path to every state: `states * nbits / 16`.
const WORDS: usize = 8;

/// Cost of the best path to each state, in the upper bits, and the bits of the state that leave next.
type Costs = [Lanes<u16>; MAX_STATES];

/// A trellis of `NBITS`, with memory for a path in each lane.
pub(super) struct Trellis<const NBITS: usize> {
    metric: TrellisMetric,
    /// Level of each window.
    levels: [f32; WINDOWS],
    /// Targets as they come, `(LANES, ceil(D / LANES))` runs of components.
    given: Vec<Lanes<i16>>,
    /// Targets in the order of the row's bits, `(D)`.
    targets: Vec<Lanes<i16>>,
    /// The bits that left on the best path to each state, `(steps)`, packed into words from the high end of the
    /// first word on. The bits of state `high * STAY + low` are number `low << NBITS | high`.
    taken: Vec<[Lanes<u16>; WORDS]>,
    /// The bytes of the rows, `(W)`.
    rows: Vec<Lanes<u8>>,
}

impl<const NBITS: usize> Trellis<NBITS> {
    const STATES: usize = WINDOWS >> NBITS;
    const BRANCHES: usize = 1 << NBITS;
    /// Number of values of the state's bits that stay when the bits of the next component come.
    const STAY: usize = Self::STATES >> NBITS;
    /// Components whose own bits are in one byte.
    const PLANES: usize = 8 / NBITS;
    /// Mask of the low bits of a stored cost, which are the bits of its state that leave next.
    const MASK: u16 = (1 << NBITS) - 1;

    /// A trellis for `codec`, whose levels are steps of `step`.
    pub(super) fn new(codec: &CodecParams, step: f32) -> Self {
        let level = |window| codec.levels[usize::from(window_label(window as u8, NBITS as u8))];
        Self {
            metric: TrellisMetric::new(NBITS as u8, &codec.levels, step),
            levels: array::from_fn(|window| f32::from(level(window))),
            given: vec![Lanes::default(); LANES * codec.dim.div_ceil(LANES)],
            targets: vec![Lanes::default(); codec.dim],
            taken: vec![[Lanes::default(); WORDS]; codec.dim.max(2 * JOINT)],
            rows: vec![Lanes::default(); codec.row_bytes()],
        }
    }

    /// Sets the components `(D) f32` of a lane.
    #[inline(always)]
    pub(super) fn put(&mut self, lane: usize, components: &[f32]) {
        let runs = self.given.len() / LANES;
        let given = &mut self.given[lane * runs..][..runs];
        let (whole, rest) = components.as_chunks();
        for (given, components) in given.iter_mut().zip(whole) {
            *given = Lanes(*components).map(|x, _| self.metric.target(x));
        }
        if let Some(last) = given.last_mut() {
            last.0.iter_mut().zip(rest).for_each(|(target, &x)| *target = self.metric.target(x));
        }
    }

    /// Brings the targets of each component together, in the order of the row's bits.
    #[inline(always)]
    fn arrange(&mut self) {
        let (dim, width) = (self.targets.len(), self.rows.len());
        let runs = self.given.len() / LANES;
        for run in 0..runs {
            let components = transposed(array::from_fn(|lane| self.given[lane * runs + run]));
            for (component, targets) in (run * LANES..dim).zip(components) {
                self.targets[component % width * Self::PLANES + component / width] = targets;
            }
        }
    }

    /// Finds the row of every lane.
    #[inline(always)]
    pub(super) fn search(&mut self) {
        self.arrange();
        let dim = self.targets.len();
        let joint = if dim <= SHORT_RING { self.best_joint() } else { self.likely_joint() };
        self.walk(0, dim, &mut Self::from_state(&joint));
        self.trace(0, 0..dim, joint);
    }

    /// The row `(W) u8` found for a lane, and its levels `(D) f32`.
    #[inline(always)]
    pub(super) fn get(&self, lane: usize, row: &mut [u8], levels: &mut [f32]) {
        let width = row.len();
        row.iter_mut().zip(&self.rows).for_each(|(byte, lanes)| *byte = lanes.0[lane]);
        for byte in 0..width {
            let ring = u16::from_le_bytes([row[byte], row[(byte + 1) % width]]);
            for plane in 0..Self::PLANES {
                levels[plane * width + byte] = self.levels[usize::from((ring >> (plane * NBITS)) as u8)];
            }
        }
    }

    /// Tries every state and returns for each lane the one in which the best ring begins; the lowest among
    /// equals.
    #[inline(always)]
    fn best_joint(&mut self) -> Lanes<u16> {
        let (mut least, mut joint) = (Lanes([u32::MAX; LANES]), Lanes::default());
        for state in 0..Self::STATES {
            let mut costs = Self::from_state(&Lanes([state as u16; LANES]));
            let base = self.walk(0, self.targets.len(), &mut costs);
            let total = base.map(|base, lane| base + u32::from(costs[state].0[lane] >> NBITS));
            joint = joint.map(|joint, lane| if total.0[lane] < least.0[lane] { state as u16 } else { joint });
            least = least.map(|least, lane| least.min(total.0[lane]));
        }
        joint
    }

    /// Returns the state that the best free path through the joint takes there. Half of the path is before the
    /// joint and half after it; a ring that is shorter than the path is walked around more than once.
    #[inline(always)]
    fn likely_joint(&mut self) -> Lanes<u16> {
        let start = JOINT.next_multiple_of(self.targets.len()) - JOINT;
        let mut costs = array::from_fn(|state| Lanes([state as u16 & Self::MASK; LANES]));
        self.walk(start, 2 * JOINT, &mut costs);
        let (mut least, mut end) = (Lanes([u16::MAX; LANES]), Lanes::default());
        for (state, cost) in costs[..Self::STATES].iter().enumerate() {
            let cost = cost.map(|cost, _| cost >> NBITS);
            end = end.map(|end, lane| if cost.0[lane] < least.0[lane] { state as u16 } else { end });
            least = least.map(|least, lane| least.min(cost.0[lane]));
        }
        self.trace(start, JOINT..2 * JOINT, end)
    }

    /// Costs before a walk from one state in each lane.
    #[inline(always)]
    fn from_state(states: &Lanes<u16>) -> Costs {
        let far = (unreachable_cost(NBITS) as u16) << NBITS;
        array::from_fn(|at| {
            let here = at as u16;
            states.map(|state, _| if state == here { 0 } else { far } | here & Self::MASK)
        })
    }

    /// Finds the best path to every state over `steps` components of the ring from `start` on; both are multiples
    /// of `PLANES`. Updates `costs`, and returns the number that was subtracted from all costs of a lane.
    #[inline(always)]
    fn walk(&mut self, start: usize, steps: usize, costs: &mut Costs) -> Lanes<u32> {
        let (dim, mut base) = (self.targets.len(), Lanes::default());
        let mut between = [Lanes::default(); MAX_STATES];
        for (byte, taken) in self.taken[..steps].chunks_exact_mut(Self::PLANES).enumerate() {
            let targets = &self.targets[(start + byte * Self::PLANES) % dim..][..Self::PLANES];
            // Once per byte the least cost is subtracted from all.
            let mut least = Lanes([u16::MAX; LANES]);
            for cost in &costs[..Self::STATES] {
                least = least.map(|least, lane| least.min(cost.0[lane]));
            }
            least = least.map(|least, _| least & !Self::MASK);
            base = base.map(|base: u32, lane| base + u32::from(least.0[lane] >> NBITS));
            for (targets, taken) in targets.chunks_exact(2).zip(taken.chunks_exact_mut(2)) {
                Self::advance(&self.metric.levels, &targets[0], &least, costs, &mut between, &mut taken[0]);
                Self::advance(&self.metric.levels, &targets[1], &Lanes::default(), &between, costs, &mut taken[1]);
                least = Lanes::default();
            }
        }
        base
    }

    /// Advances by one component: writes the costs of all states after it, minus `least`, and the bits that left
    /// on the best path to each state.
    #[inline(always)]
    fn advance(
        levels: &[i16; 16],
        target: &Lanes<i16>,
        least: &Lanes<u16>,
        before: &Costs,
        after: &mut Costs,
        taken: &mut [Lanes<u16>; WORDS],
    ) {
        let mut costs = [Lanes::default(); 16];
        for (costs, level) in costs.iter_mut().zip(levels) {
            *costs = target.map(|target, lane| {
                let distance = i32::from(target.wrapping_sub(*level));
                // Wraps below 0 if this cost is less than `least`. Each cost in `before` is at least `least`, so the
                // sum with it is correct again.
                (((distance * distance) >> 16) as u16 & !Self::MASK).wrapping_sub(least.0[lane])
            });
        }
        let share = Self::STAY / WORDS;
        for (word, taken) in taken.iter_mut().enumerate() {
            let mut bits = Lanes::default();
            for low in word * share..(word + 1) * share {
                // A label is a sum of bits, so bits that come and bits that leave change only its lower bits,
                // independently.
                let label = usize::from(window_label((low << NBITS) as u8, NBITS as u8));
                for high in 0..Self::BRANCHES {
                    let mut best = Lanes([u16::MAX; LANES]);
                    for leave in 0..Self::BRANCHES {
                        let (cost, before) = (&costs[label ^ leave ^ leave >> 1 ^ high], &before[low << NBITS | leave]);
                        best = best.map(|best, lane| best.min(before.0[lane].wrapping_add(cost.0[lane])));
                    }
                    bits = best.map(|best, lane| bits.0[lane] << NBITS | best & Self::MASK);
                    let leaves_next = low as u16 & Self::MASK;
                    after[high * Self::STAY + low] = best.map(|best, _| best & !Self::MASK | leaves_next);
                }
            }
            *taken = bits;
        }
    }

    /// Follows the paths to `states` at the end of `steps` of a walk from `start` back to their beginning; writes the
    /// bytes of the rows on them and returns the states in which they began.
    #[inline(always)]
    fn trace(&mut self, start: usize, steps: Range<usize>, mut states: Lanes<u16>) -> Lanes<u16> {
        let dim = self.targets.len();
        let per_word = (16 / NBITS) as u16;
        for step in steps.rev() {
            let at = (start + step) % dim;
            let taken = &self.taken[step];
            let numbers = states.map(|state, _| ((state % Self::STAY as u16) << NBITS) | (state / Self::STAY as u16));
            let words = picked(taken, numbers.map(|number, _| number / per_word));
            let windows = states.map(|state, lane| {
                let shift = 16 - NBITS as u16 - numbers.0[lane] % per_word * NBITS as u16;
                state << NBITS | words.0[lane] >> shift & Self::MASK
            });
            // The window of a byte's first component is the byte.
            if at.is_multiple_of(Self::PLANES) {
                self.rows[at / Self::PLANES] = windows.map(|window, _| window as u8);
            }
            states = windows.map(|window, _| window % Self::STATES as u16);
        }
        states
    }
}

/// The word of each lane, by its number. Words are chosen in halves by masks: compilers would turn a condition into an
/// address for each lane.
#[inline(always)]
fn picked(words: &[Lanes<u16>; WORDS], numbers: Lanes<u16>) -> Lanes<u16> {
    let half = |bit: usize, a: &Lanes<u16>, b: &Lanes<u16>| {
        numbers.map(|number, lane| a.0[lane] ^ (a.0[lane] ^ b.0[lane]) & (number >> bit & 1).wrapping_neg())
    };
    let [a, b, c, d, e, f, g, h] = words;
    let (low, high) = (half(1, &half(0, a, b), &half(0, c, d)), half(1, &half(0, e, f), &half(0, g, h)));
    half(2, &low, &high)
}

/// Columns of a square of rows: five times, row `i` and row `i + LANES / 2` become rows `2 i` and `2 i + 1` by taking
/// turns.
#[inline(always)]
fn transposed(mut rows: [Lanes<i16>; LANES]) -> [Lanes<i16>; LANES] {
    for _ in 0..LANES.ilog2() {
        let before = rows;
        for (at, pair) in rows.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let (a, b) = (&before[at].0, &before[at + LANES / 2].0);
            for (turns, half) in pair.iter_mut().zip([0, LANES / 2]) {
                for i in 0..LANES / 2 {
                    turns.0[2 * i] = a[half + i];
                    turns.0[2 * i + 1] = b[half + i];
                }
            }
        }
    }
    rows
}
