//! Scores in the host's memory, with the passages that they are of.

use crate::{Pid, Select};

/// One score for each selected passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostScores {
    scores: Vec<i32>,
    /// The passages, or none where all of a segment were selected.
    pids: Option<Vec<Pid>>,
}

impl HostScores {
    /// The scores of `select`, in its order.
    pub(crate) fn new(scores: Vec<i32>, select: Select<'_>) -> Self {
        let pids = match select {
            Select::All => None,
            Select::Pids(pids) => Some(pids.to_vec()),
        };
        Self { scores, pids }
    }

    /// The scores.
    pub fn scores(&self) -> &[i32] {
        &self.scores
    }

    /// The passages that they are of, in their order.
    pub fn select(&self) -> Select<'_> {
        self.pids.as_deref().map_or(Select::All, Select::Pids)
    }
}
