//! The ops on NVIDIA GPUs: [`Cuda`].
//!
//! Nothing is linked. The driver (`libcuda`) and the compiler (`libnvrtc`) are loaded at their first use and stay
//! loaded; a missing library is an [`Unavailable`] that lists the places that were tried. [`devices`] describes the
//! driver, its devices and the compiler, [`Nvrtc`] compiles kernels at their first use, and [`Cubins`] caches them on
//! disk.
//!
//! Places, in the order in which they are tried:
//!
//! - driver: the file in `SELVEDGE_CUDA_DRIVER`, and no other place if that is set; the names `libcuda.so.1` and
//!   `libcuda.so` (`nvcuda.dll` on Windows)
//! - NVRTC: the file in `SELVEDGE_NVRTC`, and no other place if that is set; then, by the names `libnvrtc.so`,
//!   `libnvrtc.so.13` and `libnvrtc.so.12` (`nvrtc64_130_0.dll` and `nvrtc64_120_0.dll` on Windows), the folders
//!   `lib64` and `lib` (`bin`) of `CUDA_HOME` and `CUDA_PATH`, those that the loader knows, `/usr/local/cuda/lib64`,
//!   and NVIDIA's Python packages (`nvidia/cu13/lib`, `nvidia/cuda_nvrtc/lib`) in `VIRTUAL_ENV`, `CONDA_PREFIX`,
//!   `~/.local` and `/usr/local`. Of all that are found it is the newest whose major version is at most the driver's:
//!   a driver cannot load the kernels of a newer one
//!
//! Contexts, streams and device memory are the types of the crate cudarc, so that a program with other work on the same
//! device can share them. It panics if the driver or one of its functions is missing, so it is called in one folder
//! only (`calls/`), after every function of that folder was looked up in the driver that cudarc will load. Its limits:
//!
//! - One process has one driver. cudarc loads it by name, `libcuda.so` first and `libcuda.so.1` last. A driver in
//!   `SELVEDGE_CUDA_DRIVER` whose SONAME is `libcuda.so.1` is the one that cudarc gets, unless the loader finds another
//!   file by an earlier name: that is an [`Unavailable::AnotherDriver`], before cudarc is called.
//! - A program in which another crate selects another version of CUDA for cudarc (its feature `cuda-12080` beside the
//!   `cuda-12090` of this crate) does not compile: cudarc defines its types twice. `cuda-version-from-build-system`,
//!   which candle selects, goes together with it.
//! - cudarc's `CUresult` is an enumeration. A code that a newer driver returns and the bindings do not have is no value
//!   of it, and to receive it is undefined behaviour by the rules of Rust. This crate compares a code with 0 and with
//!   `CUDA_ERROR_OUT_OF_MEMORY`, and passes it on as a number.
//! - Modules, functions and launches go through cudarc's thin layer (`cudarc::driver::result`), because the constructor
//!   of its own modules is part of its NVRTC. NVRTC is called directly, for CUBINs and the compiler's messages.
//!
//! # Beside other libraries
//!
//! Nothing that a process shares is changed: neither the context that is current in a thread, nor the default memory
//! pool. [`CudaOptions::context`] is a context of the caller to work in, and [`CudaOptions::memory_bytes`] a limit on
//! device memory.
//!
//! Embeddings that another library has made stay in its memory. [`Cuda::embeddings_of`] takes a slice or view of
//! cudarc; [`Cuda::embeddings_at`] an address, a number of components and a stream, which PyTorch gives as
//! `data_ptr()`, `numel()` and `torch.cuda.current_stream().cuda_stream` (0 is the default stream). The components are
//! one query's `(Q, D)`, row by row, without gaps or padding: of a tensor of candle `selvedge::candle::copy_of` finds
//! them. Both note how far the stream has got, and the search waits for that on the device. [`Cuda::copy_of`] and
//! [`Cuda::copy_at`] copy the embeddings for a search that comes later, after which the caller may free its own.
//!
//! The `Cuda` that made them, or a clone of it, reads embeddings where they are. Every other backend, and another
//! `Cuda` of the same device, copies them to the host: open the index on a clone.
//!
//! Each op has a file here, which checks lengths and launches, and a kernel of the same name in `kernels/`. Constants
//! that both use have one definition (`constants.rs`).

mod approx_scores;
mod assign;
mod assign_and_compress;
mod backend;
mod calls;
mod centroid_sums;
mod centroid_table;
mod chosen;
mod compress;
mod constants;
mod context;
mod cubins;
mod decompress;
mod driver;
mod embeddings;
mod filter;
mod filter_wgmma;
mod grid;
mod kmeans;
mod library;
mod maxsim;
mod maxsim_f32;
mod micro;
mod modules;
mod nvrtc;
mod nvrtc_places;
mod peak;
mod probe;
mod quantize_query;
mod query_layout;
mod resident;
mod rows;
mod rules;
mod score_kernels;
mod search;
mod select;
mod slots;
mod survivors;
mod table;
mod top_k;

#[cfg(test)]
mod process;

pub use assign::Centroids;
pub use backend::{Cuda, CudaOptions};
pub use calls::{CallerContext, CallerStream, DeviceFloat, DeviceMemory};
pub use cubins::{Cubins, Key};
/// The crate whose types hosts hand over: contexts, streams and device memory.
pub use cudarc;
pub use driver::{Device, Driver};
pub use embeddings::{Component, DeviceEmbeddings};
pub use library::Unavailable;
pub use micro::{Instruction, Latency, Micro, Work};
pub use modules::KernelVariant;
pub use nvrtc::{CompileError, Compiled, Nvrtc};
pub use peak::Peak;
pub use query_layout::Query;
pub use resident::{LoadedCodec, LoadedPassages, Scores};
pub use search::{DeviceHits, LastingEmbeddings, LoadedIndex};
pub use table::Table;

/// The parts of CUDA on this machine.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The driver, or the reason why there is none.
    pub driver: Result<Driver, Unavailable>,
    /// Devices in the driver's order; empty without a driver.
    pub devices: Vec<Result<Device, Unavailable>>,
    /// The run-time compiler, or the reason why there is none.
    pub nvrtc: Result<Nvrtc, Unavailable>,
}

/// Finds the driver, its devices and NVRTC.
pub fn devices() -> Inventory {
    let driver = Driver::get();
    let devices = driver.as_ref().map(Driver::devices).unwrap_or_default();
    let nvrtc = driver.as_ref().map_or_else(|_| Nvrtc::get(), Nvrtc::for_driver);
    Inventory { driver, devices, nvrtc }
}
