//! Stage 3: the passages of the probed cells, with approximate scores from the centroid table alone.
//!
//! Cells are opened query token by query token, best cell first, so that the first touch of a passage
//! by a query token is already that token's maximum over the probed cells: one add, never a compare.
//! A query token that touches no cell of a passage is imputed an entry from well outside the probed cells (XTR and WARP
//! impute likewise; which one it is, [`Backend::probe`](selvedge_backend::Backend::probe) says). With `m_i` that entry:
//!
//! ```text
//! approx(passage) = sum over i of m_i  +  sum over tokens i that touch it of (T[first touch][i] - m_i)
//! ```
//!
//! Only the second sum is kept, since the first is the same for every passage.
//!
//! # Blocks
//!
//! Passages are taken [`BLOCK_PASSAGES`] at a time, all lists as far as they reach into the block, so that the state
//! of a block, four bytes a passage, stays in L2 however large the segment is. A state is its passage's sum in the
//! upper 24 bits and the mark of the last query token that touched it in the lower 8. Whether a touch is a first one is
//! hard to predict, so nothing branches on it. When a block is done its states are read in their order, most of them
//! only to see that they lie below the floor: there is no list of what was touched, no hash map, and for states
//! and lists no allocation once warm.
//!
//! Every probed cell is read to its end. To end a query token's cells where their gain falls below a twentieth of its
//! first would take 10 to 13 % off this stage for .0006 of recall at most (Debian, synthetic, with the best entry left out
//! imputed); but then a funnel that opens every cell would no longer find what the exhaustive search does.

use crate::subset::Local;
use selvedge_backend::{Pid, Probed};
use selvedge_index::{Cursor, InvertedLists};

/// Passages whose states are held at a time: 256 KiB, a quarter of the L2 of the cores at hand, since the lists and the
/// centroid table want some of it too.
pub const BLOCK_PASSAGES: usize = 1 << 16;

/// Bits of a state's mark; the others are its sum.
const MARK_BITS: u32 = 8;
/// The mark in a state.
const MARK: u32 = (1 << MARK_BITS) - 1;
/// Query tokens that have a mark of their own, from 1 on; 0 is no token, and [`MARK`] some token before these.
const MARKS: usize = MARK as usize - 1;

/// Cursors that are kept between queries, at most: 3 MiB of them, a hundred times what a query has by default. One that
/// opens every cell of a large index gives its memory back.
const MOST_CURSORS: usize = 1 << 16;

/// States that are compared with the floor at a time: a cache line.
const STEP: usize = 16;

/// A passage of a segment that some query token touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The passage, local to its segment.
    pub pid: Pid,
    /// Number of the segment.
    pub segment: u32,
    /// Approximate score, comparable within one query.
    pub approx: i32,
}

/// What a thread keeps between queries.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Of the passages of a block; zeros between blocks.
    states: Vec<u32>,
    /// How far each probed cell has been read, `(Q, nprobe)`.
    cursors: Vec<Cursor>,
}

/// The best of the candidates so far, offered in the order of segments and pids.
#[derive(Clone, Debug)]
pub struct Kept {
    ndocs: usize,
    /// The least score of the best `ndocs`, as they were when last counted: what is not above it comes too late.
    floor: Option<i32>,
    candidates: Vec<Candidate>,
    /// Room for scores alone, to choose the floor by.
    scores: Vec<i32>,
}

impl Kept {
    /// Keeps the best `ndocs`, at least one, ties to the lower segment and pid.
    pub fn new(ndocs: usize) -> Self {
        Self { ndocs: ndocs.max(1), floor: None, candidates: Vec::new(), scores: Vec::new() }
    }

    /// Offers one; its segment and pid are above those of all before it.
    #[inline]
    pub fn push(&mut self, candidate: Candidate) {
        if self.floor.is_none_or(|floor| candidate.approx > floor) {
            self.candidates.push(candidate);
            if self.candidates.len() / 2 > self.ndocs {
                self.shrink();
            }
        }
    }

    /// Drops all but the best `ndocs`, and leaves those in their order.
    fn shrink(&mut self) {
        if self.candidates.len() <= self.ndocs {
            return;
        }
        self.scores.clear();
        self.scores.extend(self.candidates.iter().map(|c| c.approx));
        let (above, &mut floor, _) = self.scores.select_nth_unstable_by(self.ndocs - 1, |a, b| b.cmp(a));
        // Of those at the floor the first ones stay.
        let mut ties = self.ndocs - above.iter().filter(|&&score| score > floor).count();
        let mut kept = 0;
        for i in 0..self.candidates.len() {
            let candidate = self.candidates[i];
            let tie = candidate.approx == floor && ties > 0;
            self.candidates[kept] = candidate;
            kept += usize::from(candidate.approx > floor || tie);
            ties -= usize::from(tie);
        }
        self.candidates.truncate(kept);
        self.floor = Some(floor);
    }

    /// The best, by segment and pid, the order in which their bytes lie.
    pub fn into_sorted(mut self) -> Vec<Candidate> {
        self.shrink();
        self.candidates
    }
}

/// Bits that residual_weights are shifted right by, so that a state's 24 bits hold the sum of a query's largest; 0 but for
/// queries of hundreds of tokens.
pub fn gain_shift(probed: &Probed) -> u32 {
    let largest = |(i, &missing): (usize, &i32)| probed.token(i).first().map_or(0, |&(_, entry)| gain(entry, missing));
    let most: u64 = probed.missing.iter().enumerate().map(largest).map(u64::from).sum();
    (u64::BITS - most.leading_zeros()).saturating_sub(u32::BITS - MARK_BITS)
}

/// What a touch by a cell of table entry `entry` adds; entries are within the table's limits.
fn gain(entry: i32, missing: i32) -> u32 {
    entry.saturating_sub(missing).max(0) as u32
}

/// Offers the candidates of one segment of `num_passages` to `kept`.
pub fn gather(
    scratch: &mut Scratch,
    lists: &InvertedLists,
    num_passages: usize,
    segment: u32,
    probed: &Probed,
    subset: Option<&Local<'_>>,
    kept: &mut Kept,
) {
    let Scratch { states, cursors } = scratch;
    let shift = gain_shift(probed);
    states.resize(num_passages.min(BLOCK_PASSAGES).max(states.len()), 0);
    cursors.clear();
    cursors.extend(probed.cells.iter().map(|&(code, _)| lists.cursor(code)));
    for start in (0..num_passages).step_by(BLOCK_PASSAGES) {
        let end = num_passages.min(start + BLOCK_PASSAGES);
        let states = &mut states[..end - start];
        let mut cursors = cursors.iter_mut();
        for (i, &missing) in probed.missing.iter().enumerate() {
            if i > 0 && i % MARKS == 0 {
                states.iter_mut().filter(|state| **state != 0).for_each(|state| *state |= MARK);
            }
            let mark = (i % MARKS) as u32 + 1;
            for (&(_, entry), cursor) in probed.token(i).iter().zip(&mut cursors) {
                let gain = (gain(entry, missing) >> shift) << MARK_BITS;
                lists.visit(cursor, end as u32, |pid| {
                    // InvertedLists that no writer made may hold a pid of an earlier block.
                    if let Some(state) = states.get_mut((pid as usize).wrapping_sub(start)) {
                        let added = if *state & MARK == mark { 0 } else { gain };
                        *state = (*state & !MARK).wrapping_add(added) | mark;
                    }
                });
            }
        }
        drain(states, start, segment, subset, kept);
    }
    if cursors.capacity() > MOST_CURSORS {
        *cursors = Vec::new();
    }
}

/// Offers a block's touched passages, the first of them `start`, and forgets them.
fn drain(states: &mut [u32], start: usize, segment: u32, subset: Option<&Local<'_>>, kept: &mut Kept) {
    for (number, step) in states.chunks(STEP).enumerate() {
        // Above it are sums above the floor or, as long as there is none, all that have a mark.
        let floor = kept.floor.map_or(0, |floor| (floor as u32) << MARK_BITS | MARK);
        if !step.iter().fold(false, |any, &state| any | (state > floor)) {
            continue;
        }
        for (pid, &state) in (start + number * STEP..).zip(step) {
            let (pid, approx) = (pid as Pid, (state >> MARK_BITS) as i32);
            if state > floor && subset.is_none_or(|s| s.contains(pid)) {
                kept.push(Candidate { pid, segment, approx });
            }
        }
    }
    states.fill(0);
}
