//! Embeddings of a query in device memory: of this crate, or of another library.

use super::{
    calls::{self, CudaStream, Entered, Event},
    context::{Buffer, Context},
};
use crate::{Embeddings, Error, Result};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

/// Type of a component of embeddings in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// IEEE 754 single precision.
    F32 = 0,
    /// IEEE 754 half precision.
    F16 = 1,
    /// The upper half of single precision.
    Bf16 = 2,
}

impl Component {
    /// Bytes of a component.
    pub fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }
}

/// Embeddings in device memory, `(N, D)`, for [`Embeddings::Device`]: of this crate, or the memory of another library,
/// which then stays untouched for the lifetime `'a`.
#[derive(Debug)]
pub struct DeviceEmbeddings<'a> {
    context: Arc<Context>,
    memory: Memory,
    /// Number of components.
    len: usize,
    component: Component,
    /// End of the work that writes them.
    written: Option<Event>,
    borrowed: PhantomData<&'a ()>,
}

#[derive(Debug)]
enum Memory {
    Own(Buffer<u8>),
    Other(u64),
}

impl DeviceEmbeddings<'static> {
    /// Uploads embeddings.
    pub(super) fn new(context: &Arc<Context>, embeddings: &[f32]) -> Result<Self> {
        Ok(Self {
            context: Arc::clone(context),
            memory: Memory::Own(context.upload(bytemuck::cast_slice(embeddings))?),
            len: embeddings.len(),
            component: Component::F32,
            written: None,
            borrowed: PhantomData,
        })
    }
}

impl DeviceEmbeddings<'static> {
    /// Copies the memory of another library, `len` components from the address `pointer` on, after the work on
    /// `stream`.
    ///
    /// # Errors
    /// As [`DeviceEmbeddings::of_other`].
    ///
    /// # Safety
    /// The memory has these components until the work that is on the stream after this call is done; the stream is of
    /// the context.
    pub(super) unsafe fn copied(
        context: &Arc<Context>,
        pointer: u64,
        len: usize,
        component: Component,
        stream: *mut c_void,
    ) -> Result<Self> {
        let bytes = len * component.bytes();
        let own = context.allocate::<u8>(bytes)?;
        let entered = context.enter()?;
        check_device(context, &entered, pointer, len)?;
        // SAFETY: the caller guarantees the memory and the stream, which waits for the allocation.
        unsafe {
            let allocated = Event::record(&entered, context.stream().cu_stream().cast())?;
            let copied = calls::copy(&entered, (pointer, *own.pointer()), bytes, &allocated, stream);
            allocated.destroy(&entered);
            copied?;
        }
        // SAFETY: the caller guarantees the stream.
        let written = unsafe { Event::record(&entered, stream) };
        if written.is_err() {
            // The memory is freed after the copy, also now.
            // SAFETY: the caller guarantees the stream.
            _ = unsafe { calls::synchronize_other(&entered, stream) };
        }
        Ok(Self {
            context: Arc::clone(context),
            memory: Memory::Own(own),
            len,
            component,
            written: Some(written?),
            borrowed: PhantomData,
        })
    }
}

impl DeviceEmbeddings<'_> {
    /// Embeddings in the memory of another library, `len` components from the address `pointer` on, which work on
    /// `stream` writes.
    ///
    /// # Errors
    /// [`Error::NotOfDevice`] if the memory is not of this device.
    ///
    /// # Safety
    /// As [`Cuda::embeddings_at`](super::Cuda::embeddings_at).
    pub(super) unsafe fn of_other(
        context: &Arc<Context>,
        pointer: u64,
        len: usize,
        component: Component,
        stream: *mut c_void,
    ) -> Result<Self> {
        let entered = context.enter()?;
        check_device(context, &entered, pointer, len)?;
        Ok(Self {
            context: Arc::clone(context),
            memory: Memory::Other(pointer),
            len,
            component,
            // SAFETY: the caller guarantees the stream.
            written: Some(unsafe { Event::record(&entered, stream)? }),
            borrowed: PhantomData,
        })
    }

    /// Whether they are in the memory of a context.
    pub(super) fn are_of(&self, context: &Arc<Context>) -> bool {
        Arc::ptr_eq(&self.context, context)
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the embeddings to the host. Components of 16 bits become f32, exactly.
    ///
    /// # Errors
    /// [`Error::Cuda`] if a call of the driver fails.
    pub fn download(&self) -> Result<Vec<f32>> {
        self.wait(self.context.stream())?;
        let mut bytes = vec![0; self.len * self.component.bytes()];
        calls::download_from(&self.context.enter()?, self.pointer(), &mut bytes, self.context.stream())?;
        let halves = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        Ok(match self.component {
            Component::F32 => bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect(),
            Component::F16 => halves.map(|half| half::f16::from_bits(half).to_f32()).collect(),
            Component::Bf16 => halves.map(|half| half::bf16::from_bits(half).to_f32()).collect(),
        })
    }

    fn pointer(&self) -> u64 {
        match &self.memory {
            Memory::Own(buffer) => *buffer.pointer(),
            Memory::Other(pointer) => *pointer,
        }
    }

    /// Lets the later work of a stream wait until the embeddings are written.
    pub(super) fn wait(&self, stream: &CudaStream) -> Result<()> {
        match &self.written {
            Some(event) => event.wait(&self.context.enter()?, stream),
            None => Ok(()),
        }
    }
}

impl Drop for DeviceEmbeddings<'_> {
    fn drop(&mut self) {
        if let (Some(event), Ok(entered)) = (self.written.take(), self.context.enter()) {
            // Memory of this crate is freed on this stream: not before it is written. A drop returns no error.
            _ = event.wait(&entered, self.context.stream());
            event.destroy(&entered);
        }
    }
}

/// Checks that memory is of the device of a context.
fn check_device(context: &Context, entered: &Entered, pointer: u64, len: usize) -> Result<()> {
    let requested = context.device().ordinal;
    match calls::device_of(entered, pointer)? {
        found if len > 0 && found != Some(requested) => Err(Error::NotOfDevice { requested, pointer, found }),
        _ => Ok(()),
    }
}

/// Embeddings that a kernel reads.
pub(super) enum Source<'a> {
    Uploaded(Buffer<f32>),
    Device(&'a DeviceEmbeddings<'a>),
}

impl<'a> Source<'a> {
    /// Embeddings in device memory, uploaded if they are the host's.
    ///
    /// # Panics
    /// If they are in the memory of another `Cuda`.
    pub(super) fn new(context: &Arc<Context>, embeddings: Embeddings<'a>) -> Result<Self> {
        Ok(match embeddings {
            Embeddings::Host(embeddings) => Self::Uploaded(context.upload(embeddings)?),
            Embeddings::Device(embeddings) => Self::device(context, embeddings),
        })
    }

    /// Embeddings of the device.
    ///
    /// # Panics
    /// If they are in the memory of another `Cuda`.
    pub(super) fn device(context: &Arc<Context>, embeddings: &'a DeviceEmbeddings<'a>) -> Self {
        assert!(embeddings.are_of(context), "embeddings are used by the `Cuda` that made them");
        Self::Device(embeddings)
    }

    pub(super) fn pointer(&self) -> u64 {
        match self {
            Self::Uploaded(buffer) => *buffer.pointer(),
            Self::Device(embeddings) => embeddings.pointer(),
        }
    }

    pub(super) fn component(&self) -> Component {
        match self {
            Self::Uploaded(_) => Component::F32,
            Self::Device(embeddings) => embeddings.component,
        }
    }

    /// Lets the later work of a stream wait until the embeddings are written.
    pub(super) fn wait(&self, stream: &CudaStream) -> Result<()> {
        match self {
            Self::Uploaded(_) => Ok(()),
            Self::Device(embeddings) => embeddings.wait(stream),
        }
    }
}
