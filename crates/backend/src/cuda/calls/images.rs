//! Calls for compiled kernels: their modules are loaded, and they are launched.

use super::{Entered, check};
use crate::Result;
use cudarc::driver::{
    CudaStream,
    result::{self, module},
    sys,
};
use std::ffi::{CString, c_int, c_void};

/// A loaded CUBIN. Of cudarc's own module there is no public constructor without its NVRTC.
#[derive(Debug)]
pub(in crate::cuda) struct Image(sys::CUmodule);

// SAFETY: a handle, which any thread may use while the context is current in it.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// Loads a CUBIN.
    pub(in crate::cuda) fn load(_: &Entered, cubin: &[u8]) -> Result<Self> {
        // SAFETY: a CUBIN holds its own length, and the cache and NVRTC return whole ones.
        Ok(Self(check("cuModuleLoadData", unsafe { module::load_data(cubin.as_ptr().cast()) })?))
    }

    /// Returns kernel `name`, which may be launched as long as this image is loaded.
    pub(in crate::cuda) fn function(&self, _: &Entered, name: &str) -> Result<Function> {
        let name = CString::new(name).expect("no zero byte");
        // SAFETY: the module is loaded.
        Ok(Function(check("cuModuleGetFunction", unsafe { module::get_function(self.0, name) })?))
    }

    /// Unloads the CUBIN.
    ///
    /// # Safety
    /// No kernel of it runs, and none is launched any more.
    pub(in crate::cuda) unsafe fn unload(&self, _: &Entered) {
        // SAFETY: the module was loaded once; the caller guarantees the rest.
        _ = unsafe { module::unload(self.0) };
    }
}

/// A kernel of an [`Image`].
#[derive(Clone, Copy, Debug)]
pub(in crate::cuda) struct Function(sys::CUfunction);

impl Function {
    /// Allows blocks with this number of bytes of dynamic shared memory: 48 KiB need no call.
    ///
    /// # Safety
    /// The image is loaded.
    pub(in crate::cuda) unsafe fn allow_shared(self, _: &Entered, bytes: u32) -> Result<()> {
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the caller guarantees the function.
        let set = unsafe { result::function::set_function_attribute(self.0, attribute, bytes as c_int) };
        check("cuFuncSetAttribute", set)
    }

    /// Launches `blocks` (x, y) of `threads` with `shared` bytes of dynamic shared memory.
    ///
    /// # Safety
    /// The image is loaded. `arguments` point to values of the kernel's parameters, and the memory that these point to
    /// is as long as the kernel assumes.
    pub(in crate::cuda) unsafe fn launch(
        self,
        _: &Entered,
        call: &'static str,
        (x, y): (u32, u32),
        (threads, shared): (u32, u32),
        stream: &CudaStream,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        // SAFETY: the caller guarantees the arguments, which are read before the call returns.
        let launched =
            unsafe { result::launch_kernel(self.0, (x, y, 1), (threads, 1, 1), shared, stream.cu_stream(), arguments) };
        check(call, launched)
    }
}
