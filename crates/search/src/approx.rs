//! Stage 4: candidates ranked anew by all their centroids, residuals left aside.
//!
//! What the lists say of a candidate stops at the opened cells. Its codes say more, and cost little: 14 bits and one
//! row of the table a token, against the row, 64 bytes of residual and all the products of a full score. On Debian (4
//! bits, 16 cells a query token) the .98 of the exhaustive top 10 lie among the first 281 candidates as the lists
//! rank them, and among the first 80 as the centroids rank 512 of those (PLAID, section 4.4, prunes the same way; taken when the best entry left out was imputed,
//! before `Backend::probe` gave a deeper one).

use crate::{Result, candidates::Candidate};
use selvedge_backend::{Backend, Pid, Select};

/// Of `candidates` (ordered by segment) the `num_rescored` with the best `approx_scores`, ordered by segment and pid.
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

/// Each segment's best `most` of `candidates` (ordered by segment), with their `approx_scores` in place of what the
/// lists say, best first.
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
