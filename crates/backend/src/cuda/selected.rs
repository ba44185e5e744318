//! Which passages a kernel looks at: pids in device memory, or none for all.

use super::{
    Cuda,
    context::Buffer,
    modules::{Argument, value},
};
use crate::{Pid, Result, Select};

/// A selection.
pub(super) struct Selected {
    pids: Option<Buffer<Pid>>,
    len: usize,
}

impl Selected {
    /// Of a segment of `num_passages`.
    pub(super) fn new(cuda: &Cuda, select: Select<'_>, num_passages: usize) -> Result<Self> {
        let pids = match select {
            Select::All => None,
            Select::Pids(pids) => Some(cuda.context.upload(pids)?),
        };
        Ok(Self { pids, len: select.len(num_passages) })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The pids as a kernel's pointer, null for all.
    pub(super) fn argument(&self) -> Argument<'_> {
        self.pids.as_ref().map_or(value(&0u64), Buffer::argument)
    }
}
