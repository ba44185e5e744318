//! Answer of a search: hits, and the time of each stage.

use selvedge_backend::Pid;
use std::time::Instant;

/// Passage found by a search, with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Pid of the passage in the whole index.
    pub pid: Pid,
    /// MaxSim: sum over query tokens of the best similarity; higher is better.
    pub score: f32,
    /// Score as the integer that passages are ranked by; comparable within one query.
    pub raw: i32,
}

/// Answer to one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Hits, best first; at most `k`.
    pub hits: Vec<Hit>,
    /// Number of passages scored with MaxSim.
    pub num_scored: usize,
    /// Time of each stage.
    pub stages_us: StageTimes,
}

/// Time of each stage of a search, in microseconds.
///
/// An exhaustive search has only `quantize_query`, `score` and `topk`; the others are 0. Each query of an exhaustive
/// batch has the mean times of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct StageTimes {
    /// Rotation and rounding of the query.
    pub quantize_query: f64,
    /// Centroid table and choice of cells.
    pub probe: f64,
    /// Candidates from the inverted lists.
    pub candidates: f64,
    /// Approximate scores of the candidates from all their centroids.
    pub approx: f64,
    /// MaxSim and the top k of each segment.
    pub score: f64,
    /// Merge of the segments.
    pub topk: f64,
    /// Search for words; 0 in a search of embeddings alone.
    pub lexical: f64,
}

impl StageTimes {
    /// Sum of all stages, in microseconds.
    pub fn total(&self) -> f64 {
        let &Self { quantize_query, probe, candidates, approx, score, topk, lexical } = self;
        quantize_query + probe + candidates + approx + score + topk + lexical
    }

    /// Returns the sums of these times and others, stage by stage.
    pub fn plus(self, other: Self) -> Self {
        Self {
            quantize_query: self.quantize_query + other.quantize_query,
            probe: self.probe + other.probe,
            candidates: self.candidates + other.candidates,
            approx: self.approx + other.approx,
            score: self.score + other.score,
            topk: self.topk + other.topk,
            lexical: self.lexical + other.lexical,
        }
    }

    /// Returns the times divided by `num`.
    pub(crate) fn divided(self, num: usize) -> Self {
        let part = |us: f64| us / num as f64;
        Self {
            quantize_query: part(self.quantize_query),
            probe: part(self.probe),
            candidates: part(self.candidates),
            approx: part(self.approx),
            score: part(self.score),
            topk: part(self.topk),
            lexical: part(self.lexical),
        }
    }
}

/// Stopwatch of the stages.
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts the first lap.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the microseconds since the last lap, and starts the next one.
    pub(crate) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let lap = now - std::mem::replace(&mut self.0, now);
        lap.as_secs_f64() * 1e6
    }
}
