//! Stage 5: MaxSim of the candidates straight from their compressed bytes.

use crate::{Result, candidates::Candidate};
use selvedge_backend::{Backend, Hit, Pid, QuantizedQuery, Select};

/// Scores `candidates` (ordered by segment), and returns each segment's best `k` with global pids.
pub fn score<B: Backend>(
    backend: &B,
    segments: &[crate::Segment<B>],
    query: &QuantizedQuery,
    table: &B::Table,
    candidates: &[Candidate],
    k: usize,
) -> Result<Vec<Hit>> {
    let mut hits = Vec::new();
    for run in candidates.chunk_by(|a, b| a.segment == b.segment) {
        let pids: Vec<Pid> = run.iter().map(|c| c.pid).collect();
        hits.extend(score_segment(backend, &segments[run[0].segment as usize], query, table, Select::Pids(&pids), k)?);
    }
    Ok(hits)
}

/// The best `k` of the selected passages of one segment, with global pids.
pub fn score_segment<B: Backend>(
    backend: &B,
    segment: &crate::Segment<B>,
    query: &QuantizedQuery,
    table: &B::Table,
    select: Select<'_>,
    k: usize,
) -> Result<impl Iterator<Item = Hit> + use<B>> {
    let scores = backend.maxsim(&segment.passages, query, table, select)?;
    let first_pid = segment.first_pid;
    let hits = backend.top_k(&scores, select, k)?;
    Ok(hits.into_iter().map(move |hit| Hit { pid: hit.pid + first_pid, score: hit.score }))
}
