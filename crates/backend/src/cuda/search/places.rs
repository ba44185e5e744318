//! The pinned memory of a lane: a place for each query between two waits.

use crate::Result;
use crate::cuda::{calls::Pinned, context::Context};
use std::sync::Arc;

/// Places of one length in pinned memory.
#[derive(Debug)]
pub(super) struct Places {
    context: Arc<Context>,
    /// Taken by `drop` alone.
    pinned: Option<Pinned>,
    /// Bytes of a place.
    len: usize,
}

impl Places {
    /// Allocates `number` places of at least `len` bytes.
    pub(super) fn new(context: &Arc<Context>, number: usize, len: usize) -> Result<Self> {
        let len = len.next_multiple_of(size_of::<u64>());
        let pinned = Some(Pinned::new(&context.enter()?, number * len)?);
        Ok(Self { context: Arc::clone(context), pinned, len })
    }

    /// Whether there are `number` places of `len` bytes.
    pub(super) fn holds(&self, number: usize, len: usize) -> bool {
        len <= self.len && number * self.len <= self.pinned().len()
    }

    /// The memory, for copies.
    pub(super) fn pinned(&self) -> &Pinned {
        self.pinned.as_ref().expect("only `drop` takes it")
    }

    /// The memory, for copies to it.
    pub(super) fn pinned_mut(&mut self) -> &mut Pinned {
        self.pinned.as_mut().expect("only `drop` takes it")
    }

    /// First byte of place `at`.
    pub(super) fn start(&self, at: usize) -> usize {
        at * self.len
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        if let (Some(pinned), Ok(entered)) = (self.pinned.take(), self.context.enter()) {
            pinned.free(&entered);
        }
    }
}
