//! Stage 3: the passages of the probed cells, with approximate scores from the entries of those cells alone.
//!
//! Cells are read query token by query token, best cell first. So the first cell in which a query token meets a passage
//! has that token's maximum over the probed cells, and a score needs additions only, no comparison. A query token that
//! meets a passage in no probed cell contributes a missing score `m_i`, an entry from well outside the probed
//! cells ([`Backend::probe`](selvedge_backend::Backend::probe) defines it). XTR introduced missing scores,
//! and WARP uses them at this stage too:
//!
//! ```text
//! approx(passage) = sum over i of m_i  +  sum over tokens i that meet it of (T[first cell][i] - m_i)
//! ```
//!
//! The first sum is the same for every passage, so only the second one is computed. Its terms are the *gains* of the
//! cells.
//!
//! # Blocks
//!
//! Passages are processed in blocks of [`BLOCK_PASSAGES`], and each list is read as far as it reaches into the block.
//! The states of a block, four bytes per passage, stay in L2 for a segment of any size. A state has the passage's sum
//! in its upper 24 bits, and in its lower 8 bits the mark of the last query token that met the passage. Whether a token
//! meets a passage for the first time is hard to predict, so the code does not branch on it. After a block its states
//! are read in order; most of them are only compared with the floor. There is no list of touched passages and no hash
//! map, and states and cursors are allocated only once per thread.
//!
//! Every probed cell is read to its end, so that a search which probes all cells finds the same passages as the
//! exhaustive search. The crate's README has the cost.

use selvedge_backend::{Pid, Probed};
use selvedge_index::{Cursor, InvertedLists, RoaringBitmap};

/// Passages per block. Their states take 256 KiB, a quarter of an L2 of 1 MiB, which the lists and the centroid table
/// share.
pub const BLOCK_PASSAGES: usize = 1 << 16;

/// Bits of the mark in a state; the others are the sum.
const MARK_BITS: u32 = 8;
/// Mask of the mark in a state.
const MARK: u32 = (1 << MARK_BITS) - 1;
/// Number of marks that stand for one query token each, from 1 on. Mark 0 stands for no token, and [`MARK`]
/// for any token of an earlier round of marks.
const MARKS: usize = MARK as usize - 1;

/// Largest number of cursors that stay allocated between queries: 3 MiB, about a hundred times the default of
/// a query. After a query with more, such as one that probes every cell of a large index, the memory is
/// freed.
const MAX_CURSORS: usize = 1 << 16;

/// Share of a block below which its allowed passages are looked up one by one: a lookup takes about as long as
/// comparing this many states with the floor.
const THIN: usize = 16;

/// Number of states that are compared with the floor together: one cache line.
const STEP: usize = 16;

/// Passage of a segment that is in a probed cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Pid within the segment.
    pub pid: Pid,
    /// Number of the segment.
    pub segment: u32,
    /// Approximate score; comparable within one query and one stage.
    pub approx: i32,
}

/// Buffers of one thread that are reused between queries.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// States of the passages of a block; zeros between blocks.
    states: Vec<u32>,
    /// Reading position in each probed cell, `(Q, nprobe)`.
    cursors: Vec<Cursor>,
}

/// Selection of the best `ndocs` candidates from a stream ordered by segment and pid.
#[derive(Clone, Debug)]
pub struct Kept {
    ndocs: usize,
    /// Least score of the best `ndocs` at the last shrink; later candidates must exceed it.
    floor: Option<i32>,
    candidates: Vec<Candidate>,
    /// Buffer of scores, to select the floor from.
    scores: Vec<i32>,
}

impl Kept {
    /// Makes an empty selection of the best `ndocs`, at least one; ties go to the lower segment and pid.
    pub fn new(ndocs: usize) -> Self {
        Self { ndocs: ndocs.max(1), floor: None, candidates: Vec::new(), scores: Vec::new() }
    }

    /// Adds a candidate, which must come after all earlier ones by segment and pid.
    #[inline]
    pub fn push(&mut self, candidate: Candidate) {
        if self.floor.is_none_or(|floor| candidate.approx > floor) {
            self.candidates.push(candidate);
            if self.candidates.len() / 2 > self.ndocs {
                self.shrink();
            }
        }
    }

    /// Drops all but the best `ndocs` and keeps their order.
    fn shrink(&mut self) {
        if self.candidates.len() <= self.ndocs {
            return;
        }
        self.scores.clear();
        self.scores.extend(self.candidates.iter().map(|c| c.approx));
        let (above, &mut floor, _) = self.scores.select_nth_unstable_by(self.ndocs - 1, |a, b| b.cmp(a));
        // Of the candidates at the floor, the first ones stay.
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

    /// Returns the best `ndocs`, ordered by segment and pid, the order of their bytes in memory.
    pub fn into_sorted(mut self) -> Vec<Candidate> {
        self.shrink();
        self.candidates
    }
}

/// Number of bits that gains are shifted right by, so that the sum of the largest gain of each query token fits the 24
/// bits of a state; 0 except for queries of hundreds of tokens.
pub fn gain_shift(probed: &Probed) -> u32 {
    let largest = |(i, &missing): (usize, &i32)| probed.token(i).first().map_or(0, |&(_, entry)| gain(entry, missing));
    let most: u64 = probed.missing.iter().enumerate().map(largest).map(u64::from).sum();
    (u64::BITS - most.leading_zeros()).saturating_sub(u32::BITS - MARK_BITS)
}

/// Gain of a cell with table entry `entry`: the entry less the missing score, at least 0.
fn gain(entry: i32, missing: i32) -> u32 {
    entry.saturating_sub(missing).max(0) as u32
}

/// Adds the candidates of one segment of `num_passages` to `kept`.
///
/// `lists` are the inverted lists of the segment, `segment` is its number, and `allowed` are the passages of it that
/// may be candidates, or `None` if all may. `probed` has the cells and missing scores of the query. The approximate
/// score of a candidate is the sum of the gains in the module docs, each shifted right by [`gain_shift`].
pub fn gather(
    scratch: &mut Scratch,
    lists: &InvertedLists,
    num_passages: usize,
    segment: u32,
    probed: &Probed,
    allowed: Option<&RoaringBitmap>,
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
                    // Corrupt lists may contain pids of an earlier block.
                    if let Some(state) = states.get_mut((pid as usize).wrapping_sub(start)) {
                        let added = if *state & MARK == mark { 0 } else { gain };
                        *state = (*state & !MARK).wrapping_add(added) | mark;
                    }
                });
            }
        }
        drain(states, start, segment, allowed, kept);
    }
    if cursors.capacity() > MAX_CURSORS {
        *cursors = Vec::new();
    }
}

/// Adds the candidates of the block that starts at pid `start` to `kept`, and zeroes the states.
fn drain(states: &mut [u32], start: usize, segment: u32, allowed: Option<&RoaringBitmap>, kept: &mut Kept) {
    let pids = start as Pid..(start + states.len()) as Pid;
    match allowed {
        None => drain_states(states, start, segment, |_| true, kept),
        Some(allowed) if allowed.range_cardinality(pids.clone()) as usize > states.len() / THIN => {
            drain_states(states, start, segment, |pid| allowed.contains(pid), kept);
        }
        // Of few passages, only their own states are read.
        Some(allowed) => {
            for pid in allowed.range(pids) {
                let state = states[pid as usize - start];
                if state > least_state(kept) {
                    kept.push(Candidate { pid, segment, approx: (state >> MARK_BITS) as i32 });
                }
            }
        }
    }
    states.fill(0);
}

/// Adds the passages of a block that are included.
fn drain_states(states: &[u32], start: usize, segment: u32, is_included: impl Fn(Pid) -> bool, kept: &mut Kept) {
    for (number, step) in states.chunks(STEP).enumerate() {
        let least = least_state(kept);
        if !step.iter().fold(false, |any, &state| any | (state > least)) {
            continue;
        }
        for (pid, &state) in (start + number * STEP..).zip(step) {
            let (pid, approx) = (pid as Pid, (state >> MARK_BITS) as i32);
            if state > least && is_included(pid) {
                kept.push(Candidate { pid, segment, approx });
            }
        }
    }
}

/// The state that candidates must exceed: then their sum is above the floor or, without a floor, they have any mark.
fn least_state(kept: &Kept) -> u32 {
    kept.floor.map_or(0, |floor| (floor as u32) << MARK_BITS | MARK)
}
