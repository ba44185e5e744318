//! The context, stream and memory of a device.
//!
//! All work of a [`Cuda`](super::Cuda) runs on one stream, in the order of the calls: an op may read the results of the
//! one before it in device memory, whichever thread calls it. Launches return at once; uploads and downloads wait for
//! the device.

use super::{
    calls::{Calls, Handle, Pointer},
    driver::{Device, Driver},
};
use crate::{Error, Result};
use bytemuck::Pod;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::sync::Arc;

/// Lowest compute capability that has the int8 products of 16 x 8 x 32 and the asynchronous copies of the
/// kernels.
const LEAST_CAPABILITY: (u32, u32) = (8, 0);
/// `CU_STREAM_NON_BLOCKING` of cuda.h: the stream does not wait for the default stream.
const NON_BLOCKING: u32 = 1;
/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD` of cuda.h.
const RELEASE_THRESHOLD: c_int = 4;

/// The primary context of a device, shared with all other users of the device in this process, and a stream in it.
#[derive(Debug)]
pub(super) struct Context {
    calls: Calls,
    device: Device,
    /// `CUdevice` of cuda.h, which is not the ordinal.
    handle: c_int,
    context: Handle,
    stream: Handle,
}

// SAFETY: the driver's functions may be called from any thread in which the context is current, and `enter` makes it
// current.
unsafe impl Send for Context {}
// SAFETY: as above; the driver orders the calls of several threads on one stream.
unsafe impl Sync for Context {}

impl Context {
    /// Retains the primary context of device `ordinal` and creates a stream in it.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if there is no such device, it is too old, or the driver lacks a function;
    /// [`Error::Cuda`] if a call of the driver fails.
    pub(super) fn new(driver: Driver, ordinal: usize) -> Result<Arc<Self>> {
        let refused = |reason: String| Error::NoCudaDevice { requested: ordinal, reason };
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
        let (mut handle, mut context) = (0, std::ptr::null_mut());
        // SAFETY: the calls write to `handle` and `context`.
        calls.check("cuDeviceGet", unsafe { (calls.get_device)(&mut handle, ordinal as c_int) })?;
        calls.check("cuDevicePrimaryCtxRetain", unsafe { (calls.retain_context)(&mut context, handle) })?;
        // From here on, dropping `new` releases the context.
        let mut new = Self { calls, device, handle, context, stream: std::ptr::null_mut() };
        new.enter()?;
        // SAFETY: the call writes to `stream`; the context is current.
        calls.check("cuStreamCreate", unsafe { (calls.create_stream)(&mut new.stream, NON_BLOCKING) })?;
        let mut pool = std::ptr::null_mut();
        // Freed memory stays with the process, for the next query.
        let mut threshold = u64::MAX;
        // SAFETY: the first call writes to `pool`; the value of this attribute is a u64.
        unsafe {
            calls.check("cuDeviceGetDefaultMemPool", (calls.default_pool)(&mut pool, handle))?;
            let threshold = (&raw mut threshold).cast();
            calls.check("cuMemPoolSetAttribute", (calls.set_pool_attribute)(pool, RELEASE_THRESHOLD, threshold))?;
        }
        Ok(Arc::new(new))
    }

    /// The device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Makes the context current in this thread and returns the driver's functions.
    pub(super) fn enter(&self) -> Result<&Calls> {
        // SAFETY: the context was retained.
        self.calls.check("cuCtxSetCurrent", unsafe { (self.calls.set_context)(self.context) })?;
        Ok(&self.calls)
    }

    /// The stream of all work.
    pub(super) fn stream(&self) -> Handle {
        self.stream
    }

    /// Waits until all work on the stream is done.
    pub(super) fn synchronize(&self) -> Result<()> {
        let calls = self.enter()?;
        // SAFETY: the stream was created.
        calls.check("cuStreamSynchronize", unsafe { (calls.synchronize)(self.stream) })
    }

    /// Allocates uninitialized memory for `len` elements, at least for one.
    pub(super) fn allocate<T: Pod>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let calls = self.enter()?;
        let (mut pointer, bytes) = (0, len.max(1) * size_of::<T>());
        // SAFETY: the call writes to `pointer`; the stream was created.
        let code = unsafe { (calls.allocate)(&mut pointer, bytes, self.stream) };
        calls.check_memory("cuMemAllocAsync", code, bytes)?;
        Ok(Buffer { context: Arc::clone(self), pointer, len, of: PhantomData })
    }

    /// Allocates memory for `len` elements and fills it with zeros.
    pub(super) fn zeros<T: Pod>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let buffer = self.allocate(len)?;
        let calls = self.enter()?;
        // SAFETY: the buffer has that many bytes.
        let code = unsafe { (calls.fill)(buffer.pointer, 0, len.max(1) * size_of::<T>(), self.stream) };
        calls.check("cuMemsetD8Async", code)?;
        Ok(buffer)
    }

    /// Copies `data` to new device memory.
    pub(super) fn upload<T: Pod>(self: &Arc<Self>, data: &[T]) -> Result<Buffer<T>> {
        let buffer = self.allocate(data.len())?;
        if !data.is_empty() {
            let calls = self.enter()?;
            // SAFETY: the buffer is as long as `data`, which stays borrowed until the copy is done: from pinned memory
            // the copy may still run after the call.
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
            // SAFETY: the stream is not used any more, since every buffer and module that uses it
            // keeps the context alive.
            unsafe {
                if !self.stream.is_null() {
                    (self.calls.destroy_stream)(self.stream);
                }
            }
        }
        // SAFETY: the context was retained once.
        unsafe { (self.calls.release_context)(self.handle) };
    }
}

/// An array in device memory.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    context: Arc<Context>,
    pointer: Pointer,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Checks that the buffer belongs to `context`.
    ///
    /// # Panics
    /// If it belongs to another context: a device cannot access the memory of another device, and a stream does not
    /// wait for the writes and frees of another stream.
    pub(super) fn assert_of(&self, context: &Arc<Context>) {
        assert!(Arc::ptr_eq(&self.context, context), "resident data is used by the `Cuda` that made it");
    }

    /// Device address of the first element.
    pub(super) fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Waits for all work on the stream and copies the array to the host.
    pub(super) fn download(&self) -> Result<Vec<T>> {
        let mut data = vec![T::zeroed(); self.len];
        if self.len > 0 {
            let calls = self.context.enter()?;
            let to: *mut c_void = data.as_mut_ptr().cast();
            // SAFETY: `data` is as long as the buffer, and lives until the copy is done.
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
            // SAFETY: the memory was allocated on this stream, where earlier work runs before the free.
            unsafe { (calls.free)(self.pointer, self.context.stream) };
        }
    }
}
