//! The driver's functions that launches need, with the types of cuda.h.

use super::library::{Loaded, Unavailable};
use crate::{Error, Result};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// `CUcontext`, `CUstream`, `CUmodule`, `CUfunction` and `CUmemoryPool` of cuda.h.
pub(super) type Handle = *mut c_void;
/// `CUdeviceptr` of cuda.h.
pub(super) type Pointer = u64;

/// `CUDA_ERROR_OUT_OF_MEMORY`, a `CUresult` of cuda.h.
const OUT_OF_MEMORY: c_int = 2;

/// Declares [`Calls`]: a field for each function, with its name in the library and its parameters.
macro_rules! calls {
    ($($field:ident = $name:literal ($($argument:ty),*);)*) => {
        /// Functions of the driver.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Calls {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Calls {
            /// Looks up all functions.
            pub(super) fn load(library: Loaded) -> Result<Self, Unavailable> {
                // SAFETY: the types match cuda.h.
                unsafe { Ok(Self { $($field: *library.symbol($name)?,)* }) }
            }
        }
    };
}

calls! {
    get_device = "cuDeviceGet" (*mut c_int, c_int);
    retain_context = "cuDevicePrimaryCtxRetain" (*mut Handle, c_int);
    release_context = "cuDevicePrimaryCtxRelease_v2" (c_int);
    set_context = "cuCtxSetCurrent" (Handle);
    create_stream = "cuStreamCreate" (*mut Handle, c_uint);
    destroy_stream = "cuStreamDestroy_v2" (Handle);
    synchronize = "cuStreamSynchronize" (Handle);
    default_pool = "cuDeviceGetDefaultMemPool" (*mut Handle, c_int);
    set_pool_attribute = "cuMemPoolSetAttribute" (Handle, c_int, *mut c_void);
    allocate = "cuMemAllocAsync" (*mut Pointer, usize, Handle);
    free = "cuMemFreeAsync" (Pointer, Handle);
    memory_info = "cuMemGetInfo_v2" (*mut usize, *mut usize);
    upload = "cuMemcpyHtoDAsync_v2" (Pointer, *const c_void, usize, Handle);
    download = "cuMemcpyDtoHAsync_v2" (*mut c_void, Pointer, usize, Handle);
    fill = "cuMemsetD8Async" (Pointer, u8, usize, Handle);
    load_module = "cuModuleLoadData" (*mut Handle, *const c_void);
    unload_module = "cuModuleUnload" (Handle);
    get_function = "cuModuleGetFunction" (*mut Handle, Handle, *const c_char);
    launch = "cuLaunchKernel" (
        Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void
    );
    error_text = "cuGetErrorString" (c_int, *mut *const c_char);
}

impl Calls {
    /// Turns the code that `call` returned into a `Result`.
    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<()> {
        if code == 0 { Ok(()) } else { Err(Error::Cuda { call, code, meaning: self.meaning(code) }) }
    }

    /// Turns the code of a call that allocates `requested` bytes into a `Result`.
    pub(super) fn check_memory(&self, call: &'static str, code: c_int, requested: usize) -> Result<()> {
        if code != OUT_OF_MEMORY {
            return self.check(call, code);
        }
        let (mut free, mut total) = (0, 0);
        // SAFETY: the call writes to both.
        unsafe { (self.memory_info)(&mut free, &mut total) };
        Err(Error::OutOfDeviceMemory { wanted_bytes: requested as u64, free_bytes: free as u64 })
    }

    /// Returns the driver's description of a code.
    fn meaning(&self, code: c_int) -> String {
        let mut text = std::ptr::null();
        // SAFETY: the call writes a string that lives as long as the library, or null, to `text`.
        unsafe {
            (self.error_text)(code, &mut text);
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        }
    }
}
