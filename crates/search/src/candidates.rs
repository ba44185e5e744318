//! Stage 3: the passages of the probed cells, with approximate scores from the centroid table alone.
//!
//! Cells are opened query token by query token, best cell first, so that the first touch of a passage
//! by a query token is already that token's maximum over the probed cells: one add, never a compare.
//! A query token that touches no cell of a passage is imputed its best entry outside the probed cells,
//! an upper bound of what it can have missed (XTR and WARP impute likewise). With `m_i` that entry:
//!
//! ```text
//! approx(passage) = sum over i of m_i  +  sum over tokens i that touch it of (T[first touch][i] - m_i)
//! ```
//!
//! Only the second sum is kept, since the first is the same for every passage. State is a dense array a segment (8
//! bytes a passage), reset entry by entry, with no hash map and no allocation once warm. Whether a touch is a first
//! one is hard to predict, so nothing branches on it.

use crate::probe::Probed;
use crate::subset::Local;
use selvedge_backend::Pid;
use selvedge_index::Lists;

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

/// A passage's state while a query's lists go by.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Its approximate score so far.
    approx: i32,
    /// Last query token that touched it, plus one; 0 for none.
    touched_by: u32,
}

/// What a thread keeps between queries.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    states: Vec<State>,
    /// Passages in the order of their first touch, and room for all.
    touched: Vec<Pid>,
}

/// The best of the candidates so far: at most twice `ndocs`, and the score under which newcomers are turned away.
#[derive(Clone, Debug)]
pub struct Kept {
    ndocs: usize,
    floor: i32,
    candidates: Vec<Candidate>,
}

impl Kept {
    /// Keeps the best `ndocs`, ties to the lower segment and pid.
    pub fn new(ndocs: usize) -> Self {
        Self { ndocs, floor: i32::MIN, candidates: Vec::new() }
    }

    /// Offers one.
    pub fn push(&mut self, candidate: Candidate) {
        // One equal to the floor may win by its number.
        if candidate.approx >= self.floor {
            self.candidates.push(candidate);
            if self.candidates.len() / 2 > self.ndocs {
                self.shrink();
            }
        }
    }

    fn shrink(&mut self) {
        if self.ndocs < self.candidates.len() {
            if self.ndocs > 0 {
                let rank = |c: &Candidate| (std::cmp::Reverse(c.approx), c.segment, c.pid);
                self.floor = self.candidates.select_nth_unstable_by_key(self.ndocs - 1, rank).1.approx;
            }
            self.candidates.truncate(self.ndocs);
        }
    }

    /// The best, by segment and pid, the order in which their bytes lie.
    pub fn into_sorted(mut self) -> Vec<Candidate> {
        self.shrink();
        self.candidates.sort_unstable_by_key(|c| (c.segment, c.pid));
        self.candidates
    }
}

/// Offers the candidates of one segment of `num_passages` to `kept`.
pub fn gather(
    scratch: &mut Scratch,
    lists: &Lists,
    num_passages: usize,
    segment: u32,
    probed: &Probed,
    subset: Option<&Local<'_>>,
    kept: &mut Kept,
) {
    let Scratch { states, touched } = scratch;
    states.resize(num_passages.max(states.len()), State::default());
    touched.resize((num_passages + 1).max(touched.len()), 0);
    let mut num_touched = 0;
    for (i, &missing) in probed.missing.iter().enumerate() {
        let mark = i as u32 + 1;
        for &(code, entry) in probed.token(i) {
            let gain = entry.saturating_sub(missing);
            lists.for_each(code, |pid| {
                let state = &mut states[pid as usize];
                // Written each time, and kept where it was the first: `num_touched` is at most `num_passages`.
                touched[num_touched] = pid;
                num_touched += usize::from(state.touched_by == 0);
                let added = if state.touched_by == mark { 0 } else { gain };
                *state = State { approx: state.approx.saturating_add(added), touched_by: mark };
            });
        }
    }
    for &pid in &touched[..num_touched] {
        let State { approx, .. } = std::mem::take(&mut states[pid as usize]);
        if subset.is_none_or(|s| s.contains(pid)) {
            kept.push(Candidate { pid, segment, approx });
        }
    }
}
