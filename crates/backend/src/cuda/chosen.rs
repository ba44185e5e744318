//! The passages that a kernel scores, and their names as arguments of kernels.

use super::{
    Cuda,
    context::Buffer,
    modules::{Argument, value},
};
use crate::{Pid, Result, Select};
use bytemuck::{Pod, Zeroable};
use std::mem::offset_of;

/// Chosen passages: `Chosen` of kernels/passages.cuh. At most one address is not 0.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct ChosenArgument {
    pids: u64,
    keys: u64,
    set: u64,
}

// kernels/passages.cuh asserts the same.
const _: () = {
    assert!(size_of::<ChosenArgument>() == 24);
    assert!(offset_of!(ChosenArgument, keys) == 8 && offset_of!(ChosenArgument, set) == 16);
};

impl ChosenArgument {
    /// All passages.
    pub(super) const ALL: Self = Self { pids: 0, keys: 0, set: 0 };

    /// The passages of these pids.
    pub(super) fn pids(pids: &Buffer<Pid>) -> Self {
        Self { pids: *pids.pointer(), ..Self::ALL }
    }

    /// The passages of keys that were selected.
    pub(super) fn keys(keys: &Buffer<u64>) -> Self {
        Self { keys: *keys.pointer(), ..Self::ALL }
    }

    /// The passages of a bitmap whose address is at `address`.
    pub(super) fn set_at(address: u64) -> Self {
        Self { set: address, ..Self::ALL }
    }

    /// The address of the word that has the bitmap's address.
    pub(super) fn set_address(&self) -> u64 {
        self.set
    }

    /// Passes the structure to a kernel.
    pub(super) fn argument(&self) -> Argument<'_> {
        value(self)
    }
}

/// Passages that the caller of an op has selected. Scores keep them, so that they are uploaded once for the kernel that
/// scores and for the one that picks the best.
#[derive(Debug)]
pub(super) struct Selected {
    pids: Option<Buffer<Pid>>,
    len: usize,
}

impl Selected {
    /// Uploads a selection of the `num_passages` of a segment.
    pub(super) fn new(cuda: &Cuda, select: Select<'_>, num_passages: usize) -> Result<Self> {
        let pids = match select {
            Select::All => None,
            Select::Pids(pids) => Some(cuda.context.upload(pids)?),
        };
        Ok(Self { pids, len: select.len(num_passages) })
    }

    /// Number of selected passages.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The passages as an argument of kernels.
    pub(super) fn chosen(&self) -> ChosenArgument {
        self.pids.as_ref().map_or(ChosenArgument::ALL, ChosenArgument::pids)
    }
}
