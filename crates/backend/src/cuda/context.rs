//! The context, stream and memory of a device.
//!
//! All work of a [`Cuda`](super::Cuda) runs on one stream, in the order of the calls: an op may read the results of the
//! one before it in device memory, whichever thread calls it. Launches return at once; uploads and downloads wait for
//! the device.

use super::{
    calls::{self, CallerContext, CudaContext, CudaStream, Entered, Memory, Pool},
    driver::{Device, Driver},
    library::Unavailable,
};
use crate::{Error, Result};
use bytemuck::Pod;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Lowest compute capability that has the int8 products of 16 x 8 x 32 and the asynchronous copies of the
/// kernels.
const LEAST_CAPABILITY: (u32, u32) = (8, 0);

/// A context of a device, the primary one or the caller's, which other users of the device in this process share, a
/// stream in it and a memory pool of its own.
///
/// Nothing that the process shares is changed: each call makes the context current and then the one that was current
/// before ([`Entered`]), and the device's default pool, from which other libraries allocate, keeps its settings.
#[derive(Debug)]
pub(super) struct Context {
    device: Device,
    /// Largest number of bytes of all buffers.
    budget: u64,
    /// Bytes of all buffers.
    held: AtomicU64,
    /// Taken by `drop` alone, in the order of the fields.
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    stream: Arc<CudaStream>,
    pool: Option<Pool>,
    context: Arc<CudaContext>,
    /// Keeps the caller's context.
    _caller: Option<CallerContext>,
}

// SAFETY: the pool is a handle, which any thread may use while the context is current in it.
unsafe impl Send for Context {}
// SAFETY: as above; the driver orders the calls of several threads on one stream.
unsafe impl Sync for Context {}

impl Context {
    /// Retains the primary context of device `ordinal`, or takes the caller's, and creates a stream in it. All buffers
    /// together have at most `budget` bytes.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if there is no such device, it is too old, or the driver lacks a function;
    /// [`Error::Cuda`] if a call of the driver fails.
    pub(super) fn new(
        driver: Driver,
        ordinal: usize,
        caller: Option<&CallerContext>,
        budget: u64,
    ) -> Result<Arc<Self>> {
        let refused = |reason: String| Error::NoCudaDevice { requested: ordinal, reason };
        let unavailable = |error: Unavailable| refused(error.to_string());
        let devices = driver.devices();
        let there_are = match devices.len() {
            0 => "this machine has none".to_owned(),
            1 => "this machine has 1, cuda/0".to_owned(),
            number => format!("this machine has {number}, cuda/0 to cuda/{}", number - 1),
        };
        let device = devices.into_iter().nth(ordinal).ok_or_else(|| refused(there_are))?;
        let device = device.map_err(unavailable)?;
        if device.capability < LEAST_CAPABILITY {
            let ((major, minor), (least, _)) = (device.capability, LEAST_CAPABILITY);
            return Err(refused(format!(
                "{} has compute capability {major}.{minor}; {least}.0 is needed",
                device.name
            )));
        }
        // Before the first call of cudarc, which panics if a library or a function is missing.
        driver.probe().map_err(unavailable)?;
        let context = calls::context(ordinal, caller)?;
        let parts = match Parts::new(&context, ordinal, caller) {
            Ok(parts) => parts,
            Err(error) => {
                calls::release(context);
                return Err(error);
            }
        };
        Ok(Arc::new(Self { device, budget, held: AtomicU64::new(0), parts: Some(parts) }))
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("only `drop` takes them")
    }

    /// The device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Whether a stream is of this context.
    pub(super) fn is_of(&self, stream: &CudaStream) -> bool {
        stream.context().cu_ctx() == self.parts().context.cu_ctx()
    }

    /// Makes the context current in this thread, as long as the result lives.
    pub(super) fn enter(&self) -> Result<Entered> {
        Entered::new(&self.parts().context)
    }

    /// The stream of all work.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.parts().stream
    }

    /// Creates another stream, which does not wait for the first one.
    pub(super) fn new_stream(&self) -> Result<Arc<CudaStream>> {
        calls::stream(&self.enter()?, &self.parts().context)
    }

    /// Destroys a stream whose work was waited for.
    pub(super) fn free_stream(&self, stream: Arc<CudaStream>) {
        match self.enter() {
            Ok(_entered) => drop(stream),
            Err(_) => calls::restoring(|| drop(stream)),
        }
    }

    /// Waits until all work on the stream is done.
    pub(super) fn synchronize(&self) -> Result<()> {
        calls::synchronize(&self.enter()?, self.stream())
    }

    /// Allocates uninitialized memory for `len` elements, at least for one.
    pub(super) fn allocate<T: Pod>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        self.allocate_on(self.stream(), len)
    }

    /// Allocates uninitialized memory in the order of another stream, which also frees it.
    pub(super) fn allocate_on<T: Pod>(self: &Arc<Self>, stream: &Arc<CudaStream>, len: usize) -> Result<Buffer<T>> {
        let bytes = len.max(1) * size_of::<T>();
        let entered = self.enter()?;
        self.take(bytes as u64)?;
        let slice = calls::allocate(&entered, self.parts().pool.as_ref(), stream, bytes);
        let slice = slice.inspect_err(|_| self.give_back(bytes as u64))?;
        let pointer = calls::address(&slice);
        Ok(Buffer { context: Arc::clone(self), slice: Memory::new(slice), pointer, len, of: PhantomData })
    }

    /// Counts bytes that are allocated.
    fn take(&self, bytes: u64) -> Result<()> {
        let within = |held: u64| held.checked_add(bytes).filter(|&sum| sum <= self.budget);
        match self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within) {
            Ok(_) => Ok(()),
            Err(held) => Err(Error::OutOfDeviceMemory { wanted_bytes: bytes, free_bytes: self.budget - held }),
        }
    }

    /// Bytes that are allocated now.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Largest number of bytes of all buffers.
    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Checks that `bytes` more can be allocated: within the budget, and of the memory that is free now.
    pub(super) fn check_memory(&self, bytes: u64) -> Result<()> {
        let free = self.free_for(bytes)?;
        if bytes <= free { Ok(()) } else { Err(Error::OutOfDeviceMemory { wanted_bytes: bytes, free_bytes: free }) }
    }

    /// Bytes that can be allocated now, within the budget.
    pub(super) fn free_within_budget(&self) -> Result<u64> {
        self.free_for(u64::MAX)
    }

    /// Bytes that can be allocated now; memory that the pool keeps is given back if there are fewer than `bytes`.
    fn free_for(&self, bytes: u64) -> Result<u64> {
        let entered = self.enter()?;
        let left = self.budget - self.held_bytes();
        let mut free = calls::free_bytes(&entered)?;
        if let (true, Some(pool)) = (free < bytes.min(left), &self.parts().pool) {
            // The pool keeps what was freed, for the next buffers.
            calls::synchronize(&entered, self.stream())?;
            pool.trim(&entered)?;
            free = calls::free_bytes(&entered)?;
        }
        Ok(free.min(left))
    }

    /// Allocates memory for `len` elements and fills it with zeros.
    pub(super) fn zeros<T: Pod>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let mut buffer = self.allocate(len)?;
        buffer.clear()?;
        Ok(buffer)
    }

    /// Copies `data` to new device memory.
    pub(super) fn upload<T: Pod>(self: &Arc<Self>, data: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.allocate(data.len())?;
        if !data.is_empty() {
            calls::upload(&self.enter()?, bytemuck::cast_slice(data), &mut buffer.slice)?;
        }
        Ok(buffer)
    }
}

impl Parts {
    fn new(context: &Arc<CudaContext>, ordinal: usize, caller: Option<&CallerContext>) -> Result<Self> {
        let entered = Entered::new(context)?;
        calls::check_device(&entered, ordinal)?;
        let pool = if context.has_async_alloc() { Some(Pool::new(&entered, ordinal)?) } else { None };
        Ok(Self {
            stream: calls::stream(&entered, context)?,
            pool,
            context: Arc::clone(context),
            _caller: caller.cloned(),
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let Some(Parts { stream, pool, context, _caller }) = self.parts.take() else { return };
        // A drop returns no error. After a fault all of these calls fail, and the process has to be started again.
        match Entered::new(&context) {
            Ok(entered) => {
                // The frees on the stream are waited for, so that the pool has all of its memory.
                _ = calls::synchronize(&entered, &stream);
                drop((stream, pool));
            }
            Err(_) => calls::restoring(|| drop((stream, pool))),
        }
        calls::release(context);
    }
}

/// An array in device memory.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    context: Arc<Context>,
    slice: Memory,
    pointer: u64,
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
    pub(super) fn pointer(&self) -> &u64 {
        &self.pointer
    }

    /// Fills the array with zeros, in the order of its stream.
    pub(super) fn clear(&mut self) -> Result<()> {
        calls::zero(&self.context.enter()?, &mut self.slice)
    }

    /// Waits for all work on the stream and copies the array to the host.
    pub(super) fn download(&self) -> Result<Vec<T>> {
        let mut data = vec![T::zeroed(); self.len];
        if self.len > 0 {
            calls::download(&self.context.enter()?, &self.slice, bytemuck::cast_slice_mut(&mut data))?;
        }
        Ok(data)
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        // SAFETY: the slice is not used after this drop.
        let slice = unsafe { ManuallyDrop::take(&mut self.slice) };
        self.context.give_back(self.len.max(1) as u64 * size_of::<T>() as u64);
        match self.context.enter() {
            Ok(entered) => calls::free(&entered, slice),
            // The slice holds the stream and the context, so it is dropped although its memory may not be freed.
            Err(_) => calls::restoring(|| drop(slice)),
        }
    }
}
