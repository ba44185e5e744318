//! A device's context and stream, and memory in it.
//!
//! All that a [`Cuda`](super::Cuda) asks for runs on one stream, in the order of the calls: what one op leaves in device
//! memory the next one may read, whichever thread asks. Launches come back at once; uploads and downloads wait for the device.

use super::{
    calls::{Calls, Handle, Pointer},
    driver::{Device, Driver},
};
use crate::{Error, Result};
use bytemuck::Pod;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::sync::Arc;

/// What kernels take for granted: int8 products of 16 x 8 x 32 and asynchronous copies.
const LEAST_CAPABILITY: (u32, u32) = (8, 0);
/// `CU_STREAM_NON_BLOCKING` of cuda.h: the stream does not wait for the default one.
const NON_BLOCKING: u32 = 1;
/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD` of cuda.h.
const RELEASE_THRESHOLD: c_int = 4;

/// A device's primary context, shared with whatever else of this process uses the device, and a stream of our own.
#[derive(Debug)]
pub(super) struct Context {
    calls: Calls,
    device: Device,
    context: Handle,
    stream: Handle,
}

// SAFETY: the driver's functions may be called from any thread, as long as the context is current there, which
// `enter` sees to.
unsafe impl Send for Context {}
// SAFETY: the same; the driver orders what several threads ask of one stream.
unsafe impl Sync for Context {}

impl Context {
    /// Of a device.
    pub(super) fn new(driver: Driver, ordinal: usize) -> Result<Arc<Self>> {
        let refused = |reason: String| Error::NoCudaDevice { wanted: ordinal, reason };
        let devices = driver.devices();
        let there_are = match devices.len() {
            0 => "this machine has none".to_owned(),
            1 => "this machine has 1, cuda/0".to_owned(),
            number => format!("this machine has {number}, cuda/0 to cuda/{}", number - 1),
        };
        let device = devices.into_iter().nth(ordinal).ok_or_else(|| refused(there_are))?;
        let device = device.map_err(|error| refused(error.to_string()))?;
        if device.capability < LEAST_CAPABILITY {
            let ((major, minor), (least, _)) = (device.capability, LEAST_CAPABILITY);
            return Err(refused(format!(
                "{} has compute capability {major}.{minor}; {least}.0 is needed",
                device.name
            )));
        }
        let calls = driver.calls().map_err(|error| refused(error.to_string()))?;
        let number = ordinal as c_int;
        let mut context = std::ptr::null_mut();
        // SAFETY: `context` is where it writes.
        calls.check("cuDevicePrimaryCtxRetain", unsafe { (calls.retain_context)(&mut context, number) })?;
        // From here on dropping it gives the context back.
        let mut new = Self { calls, device, context, stream: std::ptr::null_mut() };
        new.enter()?;
        // SAFETY: `stream` is where it writes; the context is current.
        calls.check("cuStreamCreate", unsafe { (calls.create_stream)(&mut new.stream, NON_BLOCKING) })?;
        let mut pool = std::ptr::null_mut();
        // Memory that is given back stays with the process for the next query.
        let mut threshold = u64::MAX;
        // SAFETY: `pool` is where it writes, and `threshold` what this attribute takes.
        unsafe {
            calls.check("cuDeviceGetDefaultMemPool", (calls.default_pool)(&mut pool, number))?;
            let threshold = (&raw mut threshold).cast();
            calls.check("cuMemPoolSetAttribute", (calls.set_pool_attribute)(pool, RELEASE_THRESHOLD, threshold))?;
        }
        Ok(Arc::new(new))
    }

    /// The device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The driver's functions, with the context current in this thread.
    pub(super) fn enter(&self) -> Result<&Calls> {
        // SAFETY: the context was retained.
        self.calls.check("cuCtxSetCurrent", unsafe { (self.calls.set_context)(self.context) })?;
        Ok(&self.calls)
    }

    /// The stream.
    pub(super) fn stream(&self) -> Handle {
        self.stream
    }

    /// Waits until all that was asked for is done.
    pub(super) fn synchronize(&self) -> Result<()> {
        let calls = self.enter()?;
        // SAFETY: the stream was created.
        calls.check("cuStreamSynchronize", unsafe { (calls.synchronize)(self.stream) })
    }

    /// Room for `len` of `T`, which nobody has written; at least for one.
    pub(super) fn allocate<T: Pod>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let calls = self.enter()?;
        let (mut pointer, bytes) = (0, len.max(1) * size_of::<T>());
        // SAFETY: `pointer` is where it writes; the stream was created.
        let code = unsafe { (calls.allocate)(&mut pointer, bytes, self.stream) };
        calls.check_memory("cuMemAllocAsync", code, bytes)?;
        Ok(Buffer { context: Arc::clone(self), pointer, len, of: PhantomData })
    }

    /// Room for `len` of `T`, all bytes of them 0.
    pub(super) fn zeros<T: Pod>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let buffer = self.allocate(len)?;
        let calls = self.enter()?;
        // SAFETY: the buffer has as many bytes.
        let code = unsafe { (calls.fill)(buffer.pointer, 0, len.max(1) * size_of::<T>(), self.stream) };
        calls.check("cuMemsetD8Async", code)?;
        Ok(buffer)
    }

    /// `data` in device memory.
    pub(super) fn upload<T: Pod>(self: &Arc<Self>, data: &[T]) -> Result<Buffer<T>> {
        let buffer = self.allocate(data.len())?;
        if !data.is_empty() {
            let calls = self.enter()?;
            // SAFETY: the buffer is as long as `data`, which is not let go before the copy is done: from memory that
            // the caller has pinned it may go on behind the call.
            let code = unsafe { (calls.upload)(buffer.pointer, data.as_ptr().cast(), size_of_val(data), self.stream) };
            calls.check("cuMemcpyHtoDAsync", code)?;
            self.synchronize()?;
        }
        Ok(buffer)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.enter().is_ok() {
            // SAFETY: nobody uses the stream any more: every buffer and module keeps the context.
            unsafe {
                if !self.stream.is_null() {
                    (self.calls.destroy_stream)(self.stream);
                }
            }
        }
        // SAFETY: retained once.
        unsafe { (self.calls.release_context)(self.device.ordinal as c_int) };
    }
}

/// `len` of `T` in device memory.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    context: Arc<Context>,
    pointer: Pointer,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Sees to it that the buffer is of `context`.
    ///
    /// # Panics
    /// If it is another's: a device does not know another one's memory, and a stream does not wait for what another one
    /// writes, nor keeps another one from freeing.
    pub(super) fn assert_of(&self, context: &Arc<Context>) {
        assert!(Arc::ptr_eq(&self.context, context), "what is resident is used by the `Cuda` that made it");
    }

    /// Where it begins.
    pub(super) fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Waits for what was asked for, and copies it to the host.
    pub(super) fn download(&self) -> Result<Vec<T>> {
        let mut data = vec![T::zeroed(); self.len];
        if self.len > 0 {
            let calls = self.context.enter()?;
            let to: *mut c_void = data.as_mut_ptr().cast();
            // SAFETY: `data` is as long as the buffer, and stays until the copy is done.
            let code = unsafe { (calls.download)(to, self.pointer, self.len * size_of::<T>(), self.context.stream) };
            let copied = calls.check("cuMemcpyDtoHAsync", code);
            self.context.synchronize()?;
            copied?;
        }
        Ok(data)
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Ok(calls) = self.context.enter() {
            // SAFETY: allocated on this stream; what was asked for before runs before.
            unsafe { (calls.free)(self.pointer, self.context.stream) };
        }
    }
}
