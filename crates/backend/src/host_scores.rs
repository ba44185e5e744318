//! Scores in the memory of the host, with their passages.

use crate::{Pid, Select};

/// Scores of the selected passages, one each, in the memory of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostScores {
    scores: Vec<i32>,
    /// The selected passages; `None` if all of a segment are selected.
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

    /// The scores, in the order of the selection.
    pub fn scores(&self) -> &[i32] {
        &self.scores
    }

    /// The selected passages, in the order of the scores.
    pub fn select(&self) -> Select<'_> {
        self.pids.as_deref().map_or(Select::All, Select::Pids)
    }
}
