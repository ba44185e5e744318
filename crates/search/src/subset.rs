//! Subset of passages that a search is restricted to.

use crate::{Error, Result};
use selvedge_backend::Pid;

/// Set of passages that a search may find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    /// Ascending, without repetitions.
    pids: Vec<Pid>,
}

/// Part of a subset that is in one segment. Its methods take and return pids within the segment ("local pids").
#[derive(Clone, Debug)]
pub struct LocalSubset<'a> {
    pids: &'a [Pid],
    first_pid: Pid,
}

impl Subset {
    /// Makes a subset of `pids`, in any order and with any repetitions, of an index with `num_passages` pids.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] with the largest pid if it is not below `num_passages`.
    pub fn new(mut pids: Vec<Pid>, num_passages: usize) -> Result<Self> {
        pids.sort_unstable();
        pids.dedup();
        match pids.last() {
            Some(&pid) if pid as usize >= num_passages => Err(Error::NoSuchPassage { pid, num_passages }),
            _ => Ok(Self { pids }),
        }
    }

    /// Makes a subset of `pids` that ascend without repetitions.
    pub(crate) fn ascending(pids: Vec<Pid>) -> Self {
        Self { pids }
    }

    /// Number of passages.
    pub fn len(&self) -> usize {
        self.pids.len()
    }

    /// Whether the subset has no passage.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// Returns the part in the segment of pids `first_pid..first_pid + num_passages`.
    pub fn local(&self, first_pid: Pid, num_passages: usize) -> LocalSubset<'_> {
        let start = self.pids.partition_point(|&p| p < first_pid);
        let end = self.pids.partition_point(|&p| (p as usize) < first_pid as usize + num_passages);
        LocalSubset { pids: &self.pids[start..end], first_pid }
    }
}

impl LocalSubset<'_> {
    /// Whether the passage of the local `pid` is in the subset.
    pub fn contains(&self, pid: Pid) -> bool {
        self.pids.binary_search(&(pid + self.first_pid)).is_ok()
    }

    /// LocalSubset pids, ascending.
    pub fn pids(&self) -> Vec<Pid> {
        self.pids.iter().map(|p| p - self.first_pid).collect()
    }
}
