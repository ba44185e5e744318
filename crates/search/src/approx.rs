//! Stage 4: approximate scores of the candidates from all their centroids, without residuals.
//!
//! ```text
//! approx(passage) = sum over query tokens i of max over tokens t of the passage of T[code_t][i]
//! ```
//!
//! The candidates stage knows only the probed cells. This stage also takes the other tokens of a passage into account,
//! at little cost: it reads 14 bits of code and one row of the table per token (at K = 2^14). A full score also reads
//! 64 bytes of residual per token (at 4 bits and 128 dims) and computes all products. PLAID prunes in the same way
//! (section 4, centroid interaction).
//!
//! On Debian (4 bits, 16 cells per query token), 0.98 of the exhaustive top 10 are among the first 281 candidates by
//! the probed cells. They are among the first 80 after 512 of those are ranked by all their centroids. In this
//! measurement the missing score is the best entry outside the probed cells; that of `Backend::probe` is
//! lower.

use crate::{Result, candidates::Candidate};
use selvedge_backend::{Backend, Pid, Select};

/// Returns the `num_rescored` of `candidates` (ordered by segment) with the best approximate scores, ordered by segment
/// and pid.
///
/// # Errors
/// [`Error::Backend`](crate::Error::Backend) if the device fails.
///
/// # Panics
/// If a candidate's segment is out of range.
pub fn rank<B: Backend>(
    backend: &B,
    segments: &[crate::ResidentSegment<B>],
    table: &B::Table,
    candidates: Vec<Candidate>,
    num_rescored: usize,
) -> Result<Vec<Candidate>> {
    if candidates.len() <= num_rescored {
        return Ok(candidates);
    }
    let mut scored = score(backend, segments, table, &candidates, num_rescored)?;
    if scored.len() > num_rescored {
        scored.sort_unstable_by_key(|c| (std::cmp::Reverse(c.approx), c.segment, c.pid));
        scored.truncate(num_rescored);
    }
    scored.sort_unstable_by_key(|c| (c.segment, c.pid));
    Ok(scored)
}

/// Returns each segment's best `most` of `candidates` (ordered by segment), best first, with approximate scores from
/// all their centroids.
///
/// # Errors
/// [`Error::Backend`](crate::Error::Backend) if the device fails.
///
/// # Panics
/// If a candidate's segment is out of range.
pub fn score<B: Backend>(
    backend: &B,
    segments: &[crate::ResidentSegment<B>],
    table: &B::Table,
    candidates: &[Candidate],
    most: usize,
) -> Result<Vec<Candidate>> {
    let mut scored = Vec::with_capacity(candidates.len().min(most));
    for run in candidates.chunk_by(|a, b| a.segment == b.segment) {
        let segment = run[0].segment;
        let pids: Vec<Pid> = run.iter().map(|c| c.pid).collect();
        let scores = backend.approx_scores(&segments[segment as usize].passages, table, Select::Pids(&pids))?;
        let hits = backend.top_k(&scores, most)?;
        scored.extend(hits.into_iter().map(|hit| Candidate { pid: hit.pid, segment, approx: hit.score }));
    }
    Ok(scored)
}
