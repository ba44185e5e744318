//! The nearest row of a trellis, naively: dynamic programming in f64 over every state.

use crate::{Codec, packed_row_bytes};

/// Bits of a window.
const WINDOW_BITS: usize = 8;

/// The row `(W) u8` whose levels are nearest to `targets (D) f64`, in steps of a level, and its squared distance;
/// of all rows, or of those whose first `8 - nbits` bits are `ring`.
///
/// The states are what two neighbouring windows share, `8 - nbits` bits. A row is a ring, so a path must end in
/// the state that it began in: every beginning is tried.
pub fn trellis_row(codec: &Codec, targets: &[f64], ring: Option<usize>) -> (Vec<u8>, f64) {
    let states = 1usize << (WINDOW_BITS - codec.nbits as usize);
    let beginnings = ring.map_or(0..states, |state| state..state + 1);
    let rows = beginnings.map(|state| nearest_row(codec, targets, state));
    rows.reduce(|best, row| if row.1 < best.1 { row } else { best }).expect("at least one beginning")
}

/// The nearest row that begins with the bits of `state`.
fn nearest_row(codec: &Codec, targets: &[f64], state: usize) -> (Vec<u8>, f64) {
    let nbits = codec.nbits as usize;
    let (states, width) = (1usize << (WINDOW_BITS - nbits), packed_row_bytes(codec.dim, codec.nbits));
    let mut costs = vec![f64::INFINITY; states];
    costs[state] = 0.0;
    let mut windows_taken = Vec::new();
    for step in 0..codec.dim {
        let target = targets[component(step, nbits, width)];
        let (mut next, mut taken) = (vec![f64::INFINITY; states], vec![0; states]);
        for window in 0..1usize << WINDOW_BITS {
            let error = f64::from(window_level(codec, window)) - target;
            let cost = costs[window % states] + error * error;
            if cost < next[window >> nbits] {
                (next[window >> nbits], taken[window >> nbits]) = (cost, window);
            }
        }
        costs = next;
        windows_taken.push(taken);
    }
    let (mut row, mut at) = (vec![0u8; width], state);
    for step in (0..codec.dim).rev() {
        let window = windows_taken[step][at];
        row[step * nbits / 8] |= ((window % (1 << nbits)) << (step * nbits % 8)) as u8;
        at = window % states;
    }
    (row, costs[state])
}

/// The component whose bits come `step`-th in a row: rows are bytes of planes.
fn component(step: usize, nbits: usize, width: usize) -> usize {
    let planes = 8 / nbits;
    step % planes * width + step / planes
}

/// What a window stands for.
fn window_level(codec: &Codec, window: usize) -> i8 {
    codec.levels[(window ^ window >> 1 ^ window >> (WINDOW_BITS - codec.nbits as usize)) % 16]
}
