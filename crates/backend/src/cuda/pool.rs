//! A memory pool of a [`Context`](super::context::Context).
//!
//! PyTorch, candle and cudarc allocate from the device's default pool. Its settings are theirs too, so this crate has a
//! pool of its own, which keeps freed memory for the next query and gives it back when it is dropped.

use super::calls::{Calls, Handle, PoolProperties};
use crate::Result;
use std::ffi::c_int;

/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD` of cuda.h.
const RELEASE_THRESHOLD: c_int = 4;

/// A pool of a device's memory.
#[derive(Debug)]
pub(super) struct Pool(Handle);

impl Pool {
    /// Creates a pool of device `ordinal`.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub(super) fn new(calls: &Calls, ordinal: usize) -> Result<Self> {
        let properties = PoolProperties {
            allocation: 1,
            handles: 0,
            location: 1,
            ordinal: ordinal as c_int,
            security: std::ptr::null_mut(),
            reserved: [0; 8],
        };
        let mut pool = std::ptr::null_mut();
        // SAFETY: the call reads the properties and writes to `pool`.
        calls.check("cuMemPoolCreate", unsafe { (calls.create_pool)(&mut pool, &properties) })?;
        let pool = Self(pool);
        // Freed memory stays with the pool.
        let mut threshold = u64::MAX;
        // SAFETY: the pool was created; the value of this attribute is a u64.
        let code = unsafe { (calls.set_pool_attribute)(pool.0, RELEASE_THRESHOLD, (&raw mut threshold).cast()) };
        if let Err(error) = calls.check("cuMemPoolSetAttribute", code) {
            pool.destroy(calls);
            return Err(error);
        }
        Ok(pool)
    }

    /// The pool as the driver knows it.
    pub(super) fn handle(&self) -> Handle {
        self.0
    }

    /// Gives the memory back and destroys the pool.
    pub(super) fn destroy(self, calls: &Calls) {
        // SAFETY: the pool was created once, and this call consumes it. Memory that is not freed yet, if there is any,
        // stays valid: the driver destroys the pool after it.
        unsafe {
            (calls.trim_pool)(self.0, 0);
            (calls.destroy_pool)(self.0);
        }
    }
}
