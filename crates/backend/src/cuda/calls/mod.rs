//! The calls of the driver that this crate makes through cudarc, and the names of the functions that they need.
//!
//! cudarc panics at the first call of a function that the driver lacks, and if it finds no driver. So [`SYMBOLS`] are
//! looked up before the first call ([`Driver::probe`](super::driver::Driver::probe)), and no other folder of this crate
//! calls cudarc. Two tests hold this list to the truth (`process.rs`): on a driver that has these functions and no
//! others everything works, and each of them that is missing is an error.

mod caller;
mod images;
mod lanes;

use crate::{Error, Result};
use cudarc::driver::{
    CudaSlice, DriverError,
    result::{self, mem_pool},
    sys,
};
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::sync::Arc;

pub(super) use caller::reading;
pub use caller::{CallerContext, CallerStream, DeviceFloat, DeviceMemory};
pub(super) use cudarc::driver::{CudaContext, CudaStream};
pub(super) use images::{Function, Image};
pub(super) use lanes::{Event, Graph, Pinned};

/// The driver's functions that are called through cudarc.
pub(super) const SYMBOLS: [&str; 46] = [
    "cuCtxGetCurrent",
    "cuCtxGetDevice",
    "cuCtxPopCurrent_v2",
    "cuCtxPushCurrent_v2",
    "cuCtxSetCurrent",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime",
    "cuEventRecord",
    "cuFuncSetAttribute",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAllocFromPoolAsync",
    "cuMemAlloc_v2",
    "cuMemFreeAsync",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemPoolCreate",
    "cuMemPoolDestroy",
    "cuMemPoolSetAttribute",
    "cuMemPoolTrimTo",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuPointerGetAttribute",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// `CUmemPoolProps` of cuda.h: memory of one device. Later versions of CUDA made fields of some reserved bytes; 0 is
/// their default. cudarc's own structure has other fields in each version, and another crate in the tree may choose it.
#[derive(Debug)]
#[repr(C)]
struct PoolProperties {
    /// `CU_MEM_ALLOCATION_TYPE_PINNED`, 1: memory that is never migrated.
    allocation: c_int,
    /// `CU_MEM_HANDLE_TYPE_NONE`, 0: not shared with other processes.
    handles: c_int,
    /// `CU_MEM_LOCATION_TYPE_DEVICE`, 1.
    location: c_int,
    /// The device's ordinal.
    ordinal: c_int,
    security: *mut c_void,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<PoolProperties>() == size_of::<sys::CUmemPoolProps>());

/// Turns the result of `call` into one of this crate.
fn check<T>(call: &'static str, result: Result<T, DriverError>) -> Result<T> {
    result.map_err(|error| {
        let meaning = error.error_string().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
        Error::Cuda { call, code: error.0 as i32, meaning }
    })
}

/// Turns the result of a call that allocates `bytes` into one of this crate.
fn check_memory<T>(call: &'static str, result: Result<T, DriverError>, bytes: usize) -> Result<T> {
    match result {
        Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
            let (free, _) = result::mem_get_info().unwrap_or_default();
            Err(Error::OutOfDeviceMemory { wanted_bytes: bytes as u64, free_bytes: free as u64 })
        }
        result => check(call, result),
    }
}

/// A context that is current in this thread. Dropping it makes the context current that was so before.
///
/// cudarc makes a context current before a call, too, and leaves it so. While this one is, it has nothing to do.
#[derive(Debug)]
pub(super) struct Entered {
    /// A context belongs to a thread.
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

impl Entered {
    pub(super) fn new(context: &CudaContext) -> Result<Self> {
        // SAFETY: the context lives as long as `context`.
        let code = unsafe { sys::cuCtxPushCurrent_v2(context.cu_ctx()) };
        check("cuCtxPushCurrent", code.result())?;
        Ok(Self { _of_this_thread: std::marker::PhantomData })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut popped = std::ptr::null_mut();
        // SAFETY: the call writes to `popped`. It takes back the push of `new`: a later push of this thread is popped
        // earlier.
        _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
    }
}

/// Calls `call`, which makes a context current and leaves it so, and makes the one current again that was so before.
pub(super) fn restoring<T>(call: impl FnOnce() -> T) -> T {
    let before = result::ctx::get_current().ok().flatten().unwrap_or(std::ptr::null_mut());
    let done = call();
    // SAFETY: null, or a context that was current in this thread.
    _ = unsafe { result::ctx::set_current(before) };
    done
}

/// Retains the primary context of device `ordinal`, or takes the caller's.
pub(super) fn context(ordinal: usize, caller: Option<&CallerContext>) -> Result<Arc<CudaContext>> {
    let context = match caller {
        None => restoring(|| check("cuDevicePrimaryCtxRetain", CudaContext::new(ordinal)))?,
        Some(caller) => restoring(|| caller.again(ordinal))?,
    };
    // SAFETY: there is no slice yet. All work is on one stream, or is ordered by events of our own.
    unsafe { context.disable_event_tracking() };
    Ok(context)
}

/// Releases a context.
pub(super) fn release(context: Arc<CudaContext>) {
    restoring(|| drop(context));
}

/// Creates a stream that does not wait for the default stream.
pub(super) fn stream(_: &Entered, context: &Arc<CudaContext>) -> Result<Arc<CudaStream>> {
    check("cuStreamCreate", context.new_stream())
}

/// Waits for all work on `stream`.
pub(super) fn synchronize(_: &Entered, stream: &CudaStream) -> Result<()> {
    // Not `CudaStream::synchronize`, which returns an error of an earlier drop, if there was one, without waiting.
    // SAFETY: the stream was created, and its context is current.
    check("cuStreamSynchronize", unsafe { result::stream::synchronize(stream.cu_stream()) })
}

/// A memory pool of a device.
///
/// PyTorch, candle and cudarc allocate from the device's default pool. Its settings are theirs too, so this crate has a
/// pool of its own, which keeps freed memory for the next query and gives it back when it is dropped.
#[derive(Debug)]
pub(super) struct Pool(sys::CUmemoryPool);

impl Pool {
    /// Creates a pool of device `ordinal`.
    pub(super) fn new(_: &Entered, ordinal: usize) -> Result<Self> {
        let properties = PoolProperties {
            allocation: 1,
            handles: 0,
            location: 1,
            ordinal: ordinal as c_int,
            security: std::ptr::null_mut(),
            reserved: [0; 8],
        };
        // SAFETY: the properties have the layout of cuda.h.
        let pool = Self(check("cuMemPoolCreate", unsafe { mem_pool::create((&raw const properties).cast()) })?);
        // Freed memory stays with the pool.
        let mut threshold = u64::MAX;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the pool was created; the value of this attribute is a u64.
        let set = unsafe { mem_pool::set_attribute(pool.0, attribute, (&raw mut threshold).cast()) };
        check("cuMemPoolSetAttribute", set)?;
        Ok(pool)
    }
}

impl Pool {
    /// Gives memory that is not allocated back to the device.
    pub(super) fn trim(&self, _: &Entered) -> Result<()> {
        // SAFETY: the pool was created.
        check("cuMemPoolTrimTo", unsafe { mem_pool::trim_to(self.0, 0) })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the pool was created once. Memory that is not freed yet, if there is any, stays valid: the driver
        // destroys the pool after it.
        unsafe {
            _ = mem_pool::trim_to(self.0, 0);
            _ = mem_pool::destroy(self.0);
        }
    }
}

/// Allocates `bytes`, which is not 0: from `pool` if the device has pools.
pub(super) fn allocate(
    _: &Entered,
    pool: Option<&Pool>,
    stream: &Arc<CudaStream>,
    bytes: usize,
) -> Result<CudaSlice<u8>> {
    match pool {
        Some(pool) => {
            // SAFETY: the pool and the stream were created.
            let allocated = unsafe { mem_pool::alloc_async(pool.0, bytes, stream.cu_stream()) };
            let pointer = check_memory("cuMemAllocFromPoolAsync", allocated, bytes)?;
            // SAFETY: the memory was allocated with that size, and the slice alone frees it: by `cuMemFreeAsync`, since
            // the device has pools.
            Ok(unsafe { stream.upgrade_device_ptr(pointer, bytes) })
        }
        // SAFETY: bytes of any value are valid. The device has no pools, so this is `cuMemAlloc`.
        None => check_memory("cuMemAlloc", unsafe { stream.alloc(bytes) }, bytes),
    }
}

/// Frees memory, in the order of its stream.
pub(super) fn free(_: &Entered, slice: CudaSlice<u8>) {
    drop(slice);
}

/// Address of the first byte.
pub(super) fn address(slice: &CudaSlice<u8>) -> u64 {
    use cudarc::driver::DevicePtr;
    slice.device_ptr(slice.stream()).0
}

/// Fills memory with zeros.
pub(super) fn zero(_: &Entered, slice: &mut CudaSlice<u8>) -> Result<()> {
    let stream = Arc::clone(slice.stream());
    check("cuMemsetD8Async", stream.memset_zeros(slice))
}

/// Copies `data` to memory that is at least as long, and waits for the copy: from pinned memory it may still run after
/// the call.
pub(super) fn upload(entered: &Entered, data: &[u8], slice: &mut CudaSlice<u8>) -> Result<()> {
    let stream = Arc::clone(slice.stream());
    check("cuMemcpyHtoDAsync", stream.memcpy_htod(data, slice))?;
    synchronize(entered, &stream)
}

/// Copies memory to `data`, which has its length, and waits for all work on its stream.
pub(super) fn download(entered: &Entered, slice: &CudaSlice<u8>, data: &mut [u8]) -> Result<()> {
    let copied = check("cuMemcpyDtoHAsync", slice.stream().memcpy_dtoh(slice, data));
    synchronize(entered, slice.stream())?;
    copied
}

/// Copies device memory of another library to `data`, after all work on `stream`, and waits.
///
/// The memory is as long as `data`: whoever named its address has guaranteed that.
pub(super) fn download_from(entered: &Entered, pointer: u64, data: &mut [u8], stream: &CudaStream) -> Result<()> {
    // SAFETY: as above; the copy is waited for.
    let copied = check("cuMemcpyDtoHAsync", unsafe { result::memcpy_dtoh_async(data, pointer, stream.cu_stream()) });
    synchronize(entered, stream)?;
    copied
}

/// Copies `bytes` of device memory from one address to another, on a stream that waits for an event first.
///
/// # Safety
/// Both have that many bytes until the copy is done, and the stream is of the context.
pub(super) unsafe fn copy(
    _: &Entered,
    (from, to): (u64, u64),
    bytes: usize,
    after: &Event,
    stream: *mut c_void,
) -> Result<()> {
    // SAFETY: the caller guarantees the stream and the memory.
    unsafe {
        after.wait_on(stream)?;
        check("cuMemcpyDtoDAsync", result::memcpy_dtod_async(to, from, bytes, stream.cast()))
    }
}

/// Checks that the context that is current is of device `ordinal`.
pub(super) fn check_device(_: &Entered, ordinal: usize) -> Result<()> {
    let expected = check("cuDeviceGet", result::device::get(ordinal as c_int))?;
    let mut found: sys::CUdevice = -1;
    // SAFETY: the call writes to `found`.
    check("cuCtxGetDevice", unsafe { sys::cuCtxGetDevice(&mut found) }.result())?;
    match found == expected {
        true => Ok(()),
        false => Err(Error::NoCudaDevice { requested: ordinal, reason: "the context is of another device".into() }),
    }
}

/// Waits for the work of a stream of another library.
///
/// # Safety
/// The stream lives, and its context is current.
pub(super) unsafe fn synchronize_other(_: &Entered, stream: *mut c_void) -> Result<()> {
    // SAFETY: the caller guarantees the stream.
    check("cuStreamSynchronize", unsafe { result::stream::synchronize(stream.cast()) })
}

/// Returns the ordinal of the device that has the memory at an address; `None` if no device has.
pub(super) fn device_of(_: &Entered, pointer: u64) -> Result<Option<usize>> {
    let mut ordinal: c_int = -1;
    let attribute = sys::CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL;
    // SAFETY: the value of this attribute is an int.
    match unsafe { sys::cuPointerGetAttribute((&raw mut ordinal).cast(), attribute, pointer) } {
        sys::CUresult::CUDA_ERROR_INVALID_VALUE => Ok(None),
        code => check("cuPointerGetAttribute", code.result()).map(|()| usize::try_from(ordinal).ok()),
    }
}

/// Bytes of the device that are free.
pub(super) fn free_bytes(_: &Entered) -> Result<u64> {
    check("cuMemGetInfo", result::mem_get_info()).map(|(free, _)| free as u64)
}

/// A slice that is freed by [`free`] alone, in a context that is current.
pub(super) type Memory = ManuallyDrop<CudaSlice<u8>>;
