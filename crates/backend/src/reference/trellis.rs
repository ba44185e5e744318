//! The nearest row of a trellis, naively: dynamic programming over every state, with costs that never overflow.

use crate::{
    CodecParams, RowCoding, packed_row_bytes,
    trellis::{JOINT, SHORT_RING, TrellisMetric},
};

/// Bits of a window.
const WINDOW_BITS: usize = 8;

/// The row `(W) u8` that `compress` finds for `components (D) f64`. It is the nearest row that begins with a likely
/// state: that of the best free path through the ring's joint, where the end of a row meets its beginning. For up to 32
/// components it is the nearest of all rows.
///
/// # Panics
/// If the codec has no trellis.
pub fn trellis_row(codec: &CodecParams, components: &[f64]) -> Vec<u8> {
    let beginning = if codec.dim <= SHORT_RING { None } else { Some(likely_beginning(codec, components)) };
    nearest_trellis_row(codec, components, beginning)
}

/// The row `(W) u8` whose levels are nearest to `components (D) f64`, among all rows or among those whose first
/// `8 - nbits` bits are `beginning`.
///
/// A state is the `8 - nbits` bits that two neighbouring windows share. A row is a ring, so a path must end in
/// the state that it began in: every beginning is tried, and among equals the lowest is taken.
///
/// # Panics
/// If the codec has no trellis.
pub fn nearest_trellis_row(codec: &CodecParams, components: &[f64], beginning: Option<usize>) -> Vec<u8> {
    let (targets, states) = (targets(codec, components), num_states(codec));
    let mut best = (u64::MAX, Vec::new());
    for state in beginning.map_or(0..states, |state| state..state + 1) {
        let before = (0..states).map(|s| (s == state).then_some(0)).collect();
        let (costs, taken) = walk(codec, &targets, before);
        let cost = costs[state].expect("a ring is at least as long as a window");
        if cost < best.0 {
            best = (cost, trace(&taken, state));
        }
    }
    let (nbits, mut row) = (codec.nbits as usize, vec![0u8; packed_row_bytes(codec.dim, codec.nbits)]);
    for (step, window) in best.1.into_iter().enumerate() {
        row[step * nbits / 8] |= ((window % (1 << nbits)) << (step * nbits % 8)) as u8;
    }
    row
}

/// Cost of each of the components `(D) f64` of a row, in the order of the row's bits; the search minimizes their sum.
///
/// # Panics
/// If the codec has no trellis.
pub fn trellis_costs(codec: &CodecParams, components: &[f64], row: &[u8]) -> Vec<u64> {
    let (metric, nbits) = (metric(codec), codec.nbits as usize);
    let bit = |at: usize| row[at / 8 % row.len()] >> (at % 8) & 1;
    let window = |step: usize| (0..WINDOW_BITS).map(|at| bit(step * nbits + at) << at).sum();
    let targets = targets(codec, components).into_iter().enumerate();
    targets.map(|(step, target)| metric.cost(target, window(step))).collect()
}

/// The state between a ring's last component and its first, on the best path from any state to any other over the
/// [`JOINT`] components before and the [`JOINT`] after it.
fn likely_beginning(codec: &CodecParams, components: &[f64]) -> usize {
    let targets = targets(codec, components);
    let around = (0..2 * JOINT).map(|step| targets[(step + JOINT * (codec.dim - 1)) % codec.dim]);
    let (costs, taken) = walk(codec, &around.collect::<Vec<i16>>(), vec![Some(0); num_states(codec)]);
    let end = (0..costs.len()).min_by_key(|&state| costs[state]).expect("at least one state");
    trace(&taken, end)[JOINT] % num_states(codec)
}

/// Starts with the costs `before` and follows all paths over `targets`. Returns the cost of the best path to each
/// state, `None` where there is none, and for each target the last window of the best path to each state; among equals
/// the lowest.
fn walk(codec: &CodecParams, targets: &[i16], before: Vec<Option<u64>>) -> (Vec<Option<u64>>, Vec<Vec<usize>>) {
    let (metric, states) = (metric(codec), num_states(codec));
    let (mut costs, mut taken) = (before, Vec::new());
    for &target in targets {
        let (mut next, mut windows) = (vec![None; states], vec![0; states]);
        for window in 0..1usize << WINDOW_BITS {
            let (from, to) = (window % states, window >> codec.nbits);
            let cost = costs[from].map(|cost| cost + metric.cost(target, window as u8));
            if cost.is_some_and(|cost| next[to].is_none_or(|least| cost < least)) {
                (next[to], windows[to]) = (cost, window);
            }
        }
        costs = next;
        taken.push(windows);
    }
    (costs, taken)
}

/// The windows of the best path to `state`, first to last.
fn trace(taken: &[Vec<usize>], mut state: usize) -> Vec<usize> {
    let mut windows = Vec::new();
    for taken in taken.iter().rev() {
        windows.push(taken[state]);
        state = taken[state] % taken.len();
    }
    windows.reverse();
    windows
}

fn num_states(codec: &CodecParams) -> usize {
    1 << (WINDOW_BITS - codec.nbits as usize)
}

fn metric(codec: &CodecParams) -> TrellisMetric {
    let RowCoding::Trellis { step } = codec.coding else { panic!("the codec has no trellis") };
    TrellisMetric::new(codec.nbits, &codec.levels, step)
}

/// The targets of components, in the order of their bits in a row: byte `j` has component `j` of every plane.
fn targets(codec: &CodecParams, components: &[f64]) -> Vec<i16> {
    let (planes, width) = (8 / codec.nbits as usize, packed_row_bytes(codec.dim, codec.nbits));
    let (metric, component) = (metric(codec), |step: usize| components[step % planes * width + step / planes]);
    (0..codec.dim).map(|step| metric.target(component(step) as f32)).collect()
}
