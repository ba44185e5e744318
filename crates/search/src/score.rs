//! Stage 5: MaxSim of the candidates, computed from their compressed bytes.

use crate::{ResidentSegment, Result, candidates::Candidate};
use selvedge_backend::{Backend, Pid, RawHit, Select};

/// Scores `candidates` (ordered by segment) and returns the best `k` of each segment with global pids.
///
/// # Errors
/// [`Error::Backend`](crate::Error::Backend) if the device fails.
///
/// # Panics
/// If a candidate's segment is out of range.
pub fn score<B: Backend>(
    backend: &B,
    segments: &[ResidentSegment<B>],
    query: &B::Query,
    table: &B::Table,
    candidates: &[Candidate],
    k: usize,
) -> Result<Vec<RawHit>> {
    let mut hits = Vec::new();
    for run in candidates.chunk_by(|a, b| a.segment == b.segment) {
        let pids: Vec<Pid> = run.iter().map(|c| c.pid).collect();
        hits.extend(segment(backend, &segments[run[0].segment as usize], query, table, Select::Pids(&pids), k)?);
    }
    Ok(hits)
}

/// Scores selected passages of one segment and returns the best `k` with global pids.
pub(crate) fn segment<B: Backend>(
    backend: &B,
    segment: &ResidentSegment<B>,
    query: &B::Query,
    table: &B::Table,
    select: Select<'_>,
    k: usize,
) -> Result<impl Iterator<Item = RawHit>> {
    let scores = backend.maxsim(&segment.passages, query, table, select)?;
    Ok(backend.top_k(&scores, k)?.into_iter().map(|hit| segment.global(hit)))
}
