//! Stage 5: MaxSim of the candidates straight from their compressed bytes.

use crate::{Result, candidates::Candidate};
use selvedge_backend::{Backend, Pid, RawHit, Select};

/// Scores `candidates` (ordered by segment), and returns each segment's best `k` with global pids.
pub fn score<B: Backend>(
    backend: &B,
    segments: &[crate::ResidentSegment<B>],
    query: &B::Query,
    table: &B::Table,
    candidates: &[Candidate],
    k: usize,
) -> Result<Vec<RawHit>> {
    let mut hits = Vec::new();
    for run in candidates.chunk_by(|a, b| a.segment == b.segment) {
        let pids: Vec<Pid> = run.iter().map(|c| c.pid).collect();
        let segment = &segments[run[0].segment as usize];
        let scores = backend.maxsim(&segment.passages, query, table, Select::Pids(&pids))?;
        hits.extend(backend.top_k(&scores, k)?.into_iter().map(|hit| segment.global(hit)));
    }
    Ok(hits)
}
