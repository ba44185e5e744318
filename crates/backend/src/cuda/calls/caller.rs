//! Things that a caller hands over: its context, its stream, and memory that cudarc has allocated.

use super::{CudaContext, CudaStream, check};
use crate::Result;
use crate::cuda::Component;
use cudarc::driver::{CudaSlice, CudaView, DevicePtr, result, sys};
use std::ffi::c_void;
use std::sync::Arc;

/// A context of the caller, in which a [`Cuda`](crate::Cuda) then works: a green context, say, or that of another
/// library.
#[derive(Clone, Debug)]
pub struct CallerContext {
    handle: sys::CUcontext,
    /// Keeps the context of a caller that uses cudarc.
    _kept: Option<Arc<CudaContext>>,
}

// SAFETY: a handle, which any thread may make current.
unsafe impl Send for CallerContext {}
// SAFETY: as above.
unsafe impl Sync for CallerContext {}

impl CallerContext {
    /// A context of cudarc, which lives as long as this value.
    pub fn new(context: &Arc<CudaContext>) -> Self {
        Self { handle: context.cu_ctx(), _kept: Some(Arc::clone(context)) }
    }

    /// The context of a handle, a `CUcontext`.
    ///
    /// # Safety
    /// The context lives longer than every [`Cuda`](crate::Cuda) that is opened in it and all data that belongs to it.
    pub unsafe fn from_handle(handle: *mut c_void) -> Self {
        Self { handle: handle.cast(), _kept: None }
    }

    /// The context once more, as one of this crate, with settings of its own.
    pub(super) fn again(&self, ordinal: usize) -> Result<Arc<CudaContext>> {
        let device = check("cuDeviceGet", result::device::get(ordinal as i32))?;
        // SAFETY: the context lives.
        let context = unsafe { CudaContext::from_raw_context(ordinal, device, self.handle) };
        let context = check("cuCtxSetCurrent", context)?;
        // The last reference would destroy the caller's context, so one is never dropped.
        std::mem::forget(Arc::clone(&context));
        Ok(context)
    }
}

/// `CU_STREAM_PER_THREAD` of cuda.h.
const PER_THREAD: usize = 2;

/// A stream of the caller, in the context of a [`Cuda`](crate::Cuda).
#[derive(Clone, Debug)]
pub struct CallerStream {
    handle: *mut c_void,
    /// Keeps the stream of a caller that uses cudarc.
    _kept: Option<Arc<CudaStream>>,
}

// SAFETY: a handle, which any thread may use.
unsafe impl Send for CallerStream {}
// SAFETY: as above.
unsafe impl Sync for CallerStream {}

impl CallerStream {
    /// A stream of cudarc, which lives as long as this value.
    ///
    /// # Panics
    /// If it is the default stream of a thread, which is another one in each.
    pub fn new(stream: &Arc<CudaStream>) -> Self {
        assert!(stream.cu_stream() as usize != PER_THREAD, "a stream that is the same in every thread");
        Self { handle: stream.cu_stream().cast(), _kept: Some(Arc::clone(stream)) }
    }

    /// The stream of a handle, a `CUstream` or `cudaStream_t`.
    ///
    /// # Safety
    /// The stream lives as long as this value and its clones. The handles of the legacy and the per-thread default
    /// stream mean another stream in each context, and in each thread: the context and thread of the caller are needed.
    pub unsafe fn from_handle(handle: *mut c_void) -> Self {
        Self { handle, _kept: None }
    }

    pub(in crate::cuda) fn handle(&self) -> *mut c_void {
        self.handle
    }
}

/// Types of a component that embeddings in device memory may have.
pub trait DeviceFloat: private::Sealed {
    /// The type as a value.
    const COMPONENT: Component;
}

impl DeviceFloat for f32 {
    const COMPONENT: Component = Component::F32;
}

impl DeviceFloat for half::f16 {
    const COMPONENT: Component = Component::F16;
}

impl DeviceFloat for half::bf16 {
    const COMPONENT: Component = Component::Bf16;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
    impl<T> Sealed for cudarc::driver::CudaSlice<T> {}
    impl<T> Sealed for cudarc::driver::CudaView<'_, T> {}
}

/// Device memory of cudarc: a `CudaSlice`, or a `CudaView` of one.
pub trait DeviceMemory<T>: DevicePtr<T> + private::Sealed {}

impl<T> DeviceMemory<T> for CudaSlice<T> {}
impl<T> DeviceMemory<T> for CudaView<'_, T> {}

/// Calls `work`, which reads memory of cudarc on `stream`, with the memory's address. The stream waits for the writes
/// before, and cudarc's later writes wait for the work.
pub(in crate::cuda) fn reading<T, R>(
    memory: &impl DeviceMemory<T>,
    stream: &CudaStream,
    work: impl FnOnce(u64) -> R,
) -> R {
    let (pointer, _read) = memory.device_ptr(stream);
    work(pointer)
}
