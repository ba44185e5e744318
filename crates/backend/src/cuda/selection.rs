//! The passages that a kernel scores: pids in device memory, or all of a segment. Scores keep their selection, so it is
//! uploaded once for the kernel that scores and for the one that picks the best.

use super::{
    Cuda,
    context::Buffer,
    modules::{Argument, value},
};
use crate::{Pid, Result, Select};

/// Selected passages.
#[derive(Debug)]
pub(super) struct Selected {
    pids: Option<Buffer<Pid>>,
    len: usize,
    /// A bound above every selected pid.
    end: u64,
}

impl Selected {
    /// Uploads a selection of the `num_passages` of a segment.
    pub(super) fn new(cuda: &Cuda, select: Select<'_>, num_passages: usize) -> Result<Self> {
        let (pids, end) = match select {
            Select::All => (None, num_passages as u64),
            Select::Pids(pids) => {
                let end = pids.iter().max().map_or(0, |&pid| u64::from(pid) + 1);
                (Some(cuda.context.upload(pids)?), end)
            }
        };
        Ok(Self { pids, len: select.len(num_passages), end })
    }

    /// Number of selected passages.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A bound above every selected pid.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The pids as a kernel's pointer, null for all passages.
    pub(super) fn argument(&self) -> Argument<'_> {
        self.pids.as_ref().map_or(value(&0u64), Buffer::argument)
    }
}
