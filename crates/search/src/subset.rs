//! A set of passages that a search is restricted to.

use crate::{Error, Result};
use selvedge_backend::Pid;

/// Passages that may be found: sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    pids: Vec<Pid>,
}

/// The part of a subset that lies in one segment, with local pids.
#[derive(Clone, Debug)]
pub struct Local<'a> {
    pids: &'a [Pid],
    first_pid: Pid,
}

impl Subset {
    /// The passages `pids` of an index of `num_passages`, in any order, repeated or not.
    pub fn new(mut pids: Vec<Pid>, num_passages: usize) -> Result<Self> {
        pids.sort_unstable();
        pids.dedup();
        match pids.last() {
            Some(&pid) if pid as usize >= num_passages => Err(Error::NoSuchPassage { pid, num_passages }),
            _ => Ok(Self { pids }),
        }
    }

    /// Number of passages.
    pub fn len(&self) -> usize {
        self.pids.len()
    }

    /// Whether nothing may be found.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// The part between `first_pid` and `first_pid + num_passages`.
    pub fn local(&self, first_pid: Pid, num_passages: usize) -> Local<'_> {
        let start = self.pids.partition_point(|&p| p < first_pid);
        let end = self.pids.partition_point(|&p| (p as usize) < first_pid as usize + num_passages);
        Local { pids: &self.pids[start..end], first_pid }
    }
}

impl Local<'_> {
    /// Whether the local `pid` may be found.
    pub fn contains(&self, pid: Pid) -> bool {
        self.pids.binary_search(&(pid + self.first_pid)).is_ok()
    }

    /// The local pids, ascending.
    pub fn pids(&self) -> Vec<Pid> {
        self.pids.iter().map(|p| p - self.first_pid).collect()
    }
}
