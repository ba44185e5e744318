//! Calls for work that the host does not wait for: pinned memory, events and graphs.

use super::{Entered, check};
use crate::Result;
use cudarc::driver::{
    CudaStream,
    result::{self, event, graph, stream},
    sys,
};
use std::ffi::c_void;
use std::ptr::NonNull;

/// Memory of the host that the device reads and writes itself, while the host goes on.
#[derive(Debug)]
pub(in crate::cuda) struct Pinned {
    bytes: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Pinned {}
// SAFETY: as above; shared references only read it.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Allocates `len` bytes, at least one, and fills them with zeros.
    pub(in crate::cuda) fn new(_: &Entered, len: usize) -> Result<Self> {
        let len = len.max(1);
        // SAFETY: every number of bytes is valid, and the driver refuses those that it lacks.
        let pointer = check("cuMemHostAlloc", unsafe { result::malloc_host(len, 0) })?;
        let bytes = NonNull::new(pointer.cast::<u8>()).expect("an allocation has an address");
        // SAFETY: the memory has this length and is written to before it is read.
        unsafe { bytes.write_bytes(0, len) };
        Ok(Self { bytes, len })
    }

    /// Number of bytes.
    pub(in crate::cuda) fn len(&self) -> usize {
        self.len
    }

    /// `len` bytes from `at` on, of which no copy is running.
    pub(in crate::cuda) fn range(&self, at: usize, len: usize) -> &[u8] {
        assert!(at + len <= self.len, "within the memory");
        // SAFETY: the memory has these bytes, lives as long as `self`, and only copies of the device change other ones
        // meanwhile.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().add(at), len) }
    }

    /// `len` bytes from `at` on, of which no copy is running.
    pub(in crate::cuda) fn range_mut(&mut self, at: usize, len: usize) -> &mut [u8] {
        assert!(at + len <= self.len, "within the memory");
        // SAFETY: as in `range`, and `self` is borrowed by this reference alone.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr().add(at), len) }
    }

    /// Starts to copy the range from `at` on to `len` bytes of device memory.
    ///
    /// # Safety
    /// The range is not written to, and neither memory is freed, before the stream was waited for.
    pub(in crate::cuda) unsafe fn start_upload(
        &self,
        _: &Entered,
        (at, len): (usize, usize),
        to: u64,
        stream: &CudaStream,
    ) -> Result<()> {
        let bytes = self.range(at, len);
        // SAFETY: the caller guarantees the memory.
        check("cuMemcpyHtoDAsync", unsafe { result::memcpy_htod_async(to, bytes, stream.cu_stream()) })
    }

    /// Starts to copy `len` bytes of device memory to the range from `at` on.
    ///
    /// # Safety
    /// The range is neither read nor written to, and neither memory is freed, before the stream was waited for.
    pub(in crate::cuda) unsafe fn start_download(
        &mut self,
        _: &Entered,
        (at, len): (usize, usize),
        from: u64,
        stream: &CudaStream,
    ) -> Result<()> {
        let bytes = self.range_mut(at, len);
        // SAFETY: the caller guarantees the memory.
        check("cuMemcpyDtoHAsync", unsafe { result::memcpy_dtoh_async(bytes, from, stream.cu_stream()) })
    }

    /// Frees the memory.
    pub(in crate::cuda) fn free(self, _: &Entered) {
        // SAFETY: it was allocated once, and its copies were waited for.
        _ = unsafe { result::free_host(self.bytes.as_ptr().cast::<c_void>()) };
    }
}

/// A point in the work of a stream, for which another stream waits.
#[derive(Debug)]
pub(in crate::cuda) struct Event(sys::CUevent);

// SAFETY: a handle, which any thread may use while the context is current in it.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Marks the end of the work that this thread has put on `stream` so far.
    ///
    /// # Safety
    /// The stream is of the context that is current. Handles 1 and 2 mean streams of this thread.
    pub(in crate::cuda) unsafe fn record(entered: &Entered, stream: *mut c_void) -> Result<Self> {
        // SAFETY: the caller guarantees the stream.
        unsafe { Self::record_with(entered, sys::CUevent_flags::CU_EVENT_DISABLE_TIMING, stream) }
    }

    /// Marks a point as [`Self::record`] does, with its time for [`Self::seconds_since`].
    pub(in crate::cuda) fn record_time(entered: &Entered, stream: &CudaStream) -> Result<Self> {
        // SAFETY: the stream lives.
        unsafe { Self::record_with(entered, sys::CUevent_flags::CU_EVENT_DEFAULT, stream.cu_stream().cast()) }
    }

    /// Seconds from the time when the device came to `begin` until it came to this event.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) unless it came to both, and both were recorded with their times.
    pub(in crate::cuda) fn seconds_since(&self, _: &Entered, begin: &Self) -> Result<f64> {
        // SAFETY: the events live.
        let milliseconds = check("cuEventElapsedTime", unsafe { event::elapsed(begin.0, self.0) })?;
        Ok(f64::from(milliseconds) / 1e3)
    }

    /// Creates an event with `flags` and records it.
    ///
    /// # Safety
    /// As [`Self::record`].
    unsafe fn record_with(entered: &Entered, flags: sys::CUevent_flags, stream: *mut c_void) -> Result<Self> {
        let event = Self(check("cuEventCreate", event::create(flags))?);
        // SAFETY: the event was created; the caller guarantees the stream.
        match check("cuEventRecord", unsafe { event::record(event.0, stream.cast()) }) {
            Ok(()) => Ok(event),
            Err(error) => {
                event.destroy(entered);
                Err(error)
            }
        }
    }

    /// Lets the later work of `stream` wait for the event.
    pub(in crate::cuda) fn wait(&self, _: &Entered, stream: &CudaStream) -> Result<()> {
        // SAFETY: the stream lives.
        unsafe { self.wait_on(stream.cu_stream().cast()) }
    }

    /// Lets the later work of a stream of another library wait for the event.
    ///
    /// # Safety
    /// The stream lives, and a context is current.
    pub(in crate::cuda) unsafe fn wait_on(&self, stream: *mut c_void) -> Result<()> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: the event lives, and the caller guarantees the stream.
        check("cuStreamWaitEvent", unsafe { stream::wait_event(stream.cast(), self.0, flags) })
    }

    /// Destroys the event. Waits for it that were begun stay valid.
    pub(in crate::cuda) fn destroy(self, _: &Entered) {
        // SAFETY: the event was created once, and this takes it.
        _ = unsafe { event::destroy(self.0) };
    }
}

/// Launches that are repeated by one call.
#[derive(Debug)]
pub(in crate::cuda) struct Graph(sys::CUgraphExec);

// SAFETY: a handle, which one thread at a time uses: the holder of its lane.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` puts on `stream`, without running it.
    ///
    /// # Errors
    /// The errors of `work` and of the driver; the stream records no more then.
    pub(in crate::cuda) fn record(_: &Entered, stream: &CudaStream, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let handle = stream.cu_stream();
        // Calls of other threads, such as their allocations, are no part of it and stay allowed.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives.
        check("cuStreamBeginCapture", unsafe { stream::begin_capture(handle, mode) })?;
        let done = work();
        // SAFETY: as above. It ends the recording also after an error.
        let recorded = check("cuStreamEndCapture", unsafe { stream::end_capture(handle) });
        done?;
        let recorded = recorded?;
        // SAFETY: the graph was recorded, and what is instantiated does not need it.
        let made = unsafe { graph::instantiate(recorded, sys::CUgraphInstantiate_flags(0)) };
        // SAFETY: it was made once.
        _ = unsafe { graph::destroy(recorded) };
        Ok(Self(check("cuGraphInstantiateWithFlags", made)?))
    }

    /// Starts the work on `stream`.
    ///
    /// # Safety
    /// The memory and the kernels of the launches still exist.
    pub(in crate::cuda) unsafe fn launch(&self, _: &Entered, stream: &CudaStream) -> Result<()> {
        // SAFETY: the graph and the stream live; the caller guarantees the rest.
        check("cuGraphLaunch", unsafe { graph::launch(self.0, stream.cu_stream()) })
    }

    /// Destroys the graph.
    pub(in crate::cuda) fn destroy(self, _: &Entered) {
        // SAFETY: it was made once.
        _ = unsafe { graph::exec_destroy(self.0) };
    }
}
