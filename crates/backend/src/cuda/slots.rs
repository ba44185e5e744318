//! Slices of a build on streams of their own: while one is computed, the next one is uploaded and the one before is
//! downloaded, through pinned memory.
//!
//! A slice has one stream for its copies and its kernels, so nothing of it waits for an event. Only work that two
//! slices share, such as sums, is ordered by a [`Mark`].

use super::{
    calls::{self, CudaStream, Event, Pinned},
    context::{Buffer, Context},
};
use crate::Result;
use bytemuck::Pod;
use rayon::prelude::*;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Slices in progress at a time: one is uploaded, one computed, one downloaded.
pub(super) const SLOTS: usize = 3;
/// Bytes of the embeddings of a slice at most. At 128 components these are 65,536 embeddings, for which `assign`
/// launches 256 blocks, as many as an H200 has at a time (264).
const SLICE_BYTES: u64 = 32 << 20;
/// Share of a limit of the memory that a slice may take ([`CudaOptions::memory_bytes`](super::CudaOptions)).
const SLICE_SHARE: u64 = 32;
/// Bytes that a thread copies at a time.
const COPIED_BYTES: usize = 1 << 20;

/// Returns the number of embeddings in a slice.
pub(super) fn slice_rows(context: &Context, dim: usize) -> usize {
    let bytes = SLICE_BYTES.min(context.budget() / SLICE_SHARE);
    (bytes as usize / (dim * size_of::<f32>())).max(1)
}

/// A stream with pinned memory for one slice at a time.
#[derive(Debug)]
pub(super) struct Slot {
    context: Arc<Context>,
    /// Taken by `drop` alone, as the memory.
    stream: Option<Arc<CudaStream>>,
    input: Option<Pinned>,
    output: Option<Pinned>,
    /// Whether work was started that was not waited for.
    is_running: bool,
}

impl Slot {
    fn new(context: &Arc<Context>) -> Result<Self> {
        let (context, stream) = (Arc::clone(context), Some(context.new_stream()?));
        Ok(Self { context, stream, input: None, output: None, is_running: false })
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        self.stream.as_ref().expect("only `drop` takes it")
    }

    /// Waits for the work that was started.
    pub(super) fn settle(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_running) {
            calls::synchronize(&self.context.enter()?, self.stream())?;
        }
        Ok(())
    }

    /// Waits for the work before, and starts to copy `data` to new device memory. The copy in pinned memory is made
    /// here, so `data` is not borrowed any longer.
    pub(super) fn start_upload<T: Pod>(&mut self, data: &[T]) -> Result<Buffer<T>> {
        let (bytes, stream) = (bytemuck::cast_slice::<T, u8>(data), Arc::clone(self.stream()));
        self.settle()?;
        let pinned = grown(&self.context, &mut self.input, bytes.len())?;
        let to = pinned.range_mut(0, bytes.len()).par_chunks_mut(COPIED_BYTES);
        to.zip(bytes.par_chunks(COPIED_BYTES)).for_each(|(to, from)| to.copy_from_slice(from));
        let buffer = self.context.allocate_on(&stream, data.len())?;
        self.is_running = true;
        // SAFETY: `settle` comes before the memory is written to again and before it is freed; the buffer is freed in
        // the order of the stream.
        unsafe { pinned.start_upload(&self.context.enter()?, (0, bytes.len()), *buffer.pointer(), &stream)? };
        Ok(buffer)
    }

    /// Starts to copy arrays of the device, each an address and a number of bytes, one after another to the memory that
    /// [`Self::downloaded`] returns.
    ///
    /// # Safety
    /// The arrays are there until the stream comes to what follows: they are freed in its order, or after a
    /// [`settle`](Self::settle). A settle, or a [`start_upload`](Self::start_upload), came after the last download.
    pub(super) unsafe fn start_download(&mut self, arrays: &[(u64, usize)]) -> Result<()> {
        let stream = Arc::clone(self.stream());
        let pinned = grown(&self.context, &mut self.output, arrays.iter().map(|(_, bytes)| bytes).sum())?;
        self.is_running = true;
        let mut start = 0;
        for &(from, bytes) in arrays {
            // SAFETY: no copy runs on the memory, which is read and freed after `settle`; the caller guarantees the
            // arrays.
            unsafe { pinned.start_download(&self.context.enter()?, (start, bytes), from, &stream)? };
            start += bytes;
        }
        Ok(())
    }

    /// Notes that the caller puts work on the stream.
    pub(super) fn start(&mut self) {
        self.is_running = true;
    }

    /// Waits for the work, and returns `bytes` of the arrays that were copied to the host.
    pub(super) fn downloaded(&mut self, bytes: usize) -> Result<&[u8]> {
        self.settle()?;
        Ok(self.output.as_ref().map_or(&[], |pinned| pinned.range(0, bytes)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A drop returns no error.
        _ = self.settle();
        if let Ok(entered) = self.context.enter() {
            [self.input.take(), self.output.take()].into_iter().flatten().for_each(|pinned| pinned.free(&entered));
        }
        self.stream.take().into_iter().for_each(|stream| self.context.free_stream(stream));
    }
}

/// Pinned memory of at least `bytes`, on which no copy runs: the memory of `place`, or larger one.
fn grown<'a>(context: &Context, place: &'a mut Option<Pinned>, bytes: usize) -> Result<&'a mut Pinned> {
    if place.as_ref().is_none_or(|pinned| pinned.len() < bytes) {
        let entered = context.enter()?;
        place.take().into_iter().for_each(|pinned| pinned.free(&entered));
        *place = Some(Pinned::new(&entered, bytes.next_power_of_two())?);
    }
    Ok(place.as_mut().expect("there is one now"))
}

/// A point in the work of a stream, for which other streams wait.
#[derive(Debug)]
pub(super) struct Mark {
    context: Arc<Context>,
    /// Taken by `drop` alone.
    event: Option<Event>,
}

impl Mark {
    /// Marks the end of the work so far on `stream`, which is of the context.
    pub(super) fn new(context: &Arc<Context>, stream: &CudaStream) -> Result<Self> {
        // SAFETY: the caller's stream is of the context, which is current.
        let event = unsafe { Event::record(&context.enter()?, stream.cu_stream().cast())? };
        Ok(Self { context: Arc::clone(context), event: Some(event) })
    }

    /// Lets the later work of `stream` wait for the mark.
    pub(super) fn wait(&self, stream: &CudaStream) -> Result<()> {
        self.event.as_ref().expect("only `drop` takes it").wait(&self.context.enter()?, stream)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let (Some(event), Ok(entered)) = (self.event.take(), self.context.enter()) {
            event.destroy(&entered);
        }
    }
}

/// The slots of a device that no caller has.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Vec<Slot>>);

impl Slots {
    /// Takes [`SLOTS`] of them, and makes those that are missing.
    pub(super) fn take(&self, context: &Arc<Context>) -> Result<TakenSlots<'_>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = idle.len().saturating_sub(SLOTS);
        let mut taken = TakenSlots { slots: self, own: idle.split_off(rest) };
        drop(idle);
        while taken.own.len() < SLOTS {
            taken.own.push(Slot::new(context)?);
        }
        Ok(taken)
    }
}

/// Slots of one caller, which are waited for and returned by the drop.
#[derive(Debug)]
pub(super) struct TakenSlots<'a> {
    slots: &'a Slots,
    own: Vec<Slot>,
}

impl Deref for TakenSlots<'_> {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.own
    }
}

impl DerefMut for TakenSlots<'_> {
    fn deref_mut(&mut self) -> &mut [Slot] {
        &mut self.own
    }
}

impl Drop for TakenSlots<'_> {
    fn drop(&mut self) {
        // Also after an error: work that was started uses memory of the caller. Errors of this wait belong to the work.
        // Frees of the caller's memory are work, too: what they give back counts as free once it is waited for.
        for slot in &mut self.own {
            slot.start();
            _ = slot.settle();
        }
        let mut idle = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.append(&mut self.own);
        // The pinned memory of others is freed.
        let kept = idle.len().min(SLOTS);
        let rest = idle.split_off(kept);
        drop(idle);
        drop(rest);
    }
}
