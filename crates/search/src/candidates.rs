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
//! Only the second sum is kept, since the first is the same for every passage. State is two dense
//! arrays a segment (8 bytes a passage), reset entry by entry, with no hash map and no allocation once warm.

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

/// What a thread keeps between queries.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    approx: Vec<i32>,
    /// Last query token that touched the passage, plus one; 0 for none.
    touched_by: Vec<u32>,
    touched: Vec<Pid>,
}

/// Appends the candidates of one segment of `num_passages` to `out`, in no order that matters.
pub fn gather(
    scratch: &mut Scratch,
    lists: &Lists,
    num_passages: usize,
    segment: u32,
    probed: &Probed,
    subset: Option<&Local<'_>>,
    out: &mut Vec<Candidate>,
) {
    let Scratch { approx, touched_by, touched } = scratch;
    approx.resize(num_passages.max(approx.len()), 0);
    touched_by.resize(num_passages.max(touched_by.len()), 0);
    for (i, &missing) in probed.missing.iter().enumerate() {
        let mark = i as u32 + 1;
        for &(code, entry) in probed.token(i) {
            let gain = entry.saturating_sub(missing);
            lists.for_each(code, |pid| {
                let at = pid as usize;
                let by = touched_by[at];
                if by != mark {
                    if by == 0 {
                        touched.push(pid);
                    }
                    touched_by[at] = mark;
                    approx[at] = approx[at].saturating_add(gain);
                }
            });
        }
    }
    for pid in touched.drain(..) {
        let at = pid as usize;
        touched_by[at] = 0;
        let approx = std::mem::take(&mut approx[at]);
        if subset.is_none_or(|s| s.contains(pid)) {
            out.push(Candidate { pid, segment, approx });
        }
    }
}

/// Keeps the best `ndocs` and orders them by segment and pid, the order in which their bytes lie.
pub fn keep_best(candidates: &mut Vec<Candidate>, ndocs: usize) {
    if ndocs < candidates.len() {
        if ndocs > 0 {
            let rank = |c: &Candidate| (std::cmp::Reverse(c.approx), c.segment, c.pid);
            candidates.select_nth_unstable_by_key(ndocs - 1, rank);
        }
        candidates.truncate(ndocs);
    }
    candidates.sort_unstable_by_key(|c| (c.segment, c.pid));
}
