//! The ops on NVIDIA GPUs: [`Cuda`].
//!
//! Nothing is linked. The driver (`libcuda`) and the compiler (`libnvrtc`) are looked for when they are first asked
//! for, and stay loaded; what is missing is an [`Unavailable`] that says where it was looked for. [`devices`] says what
//! there is, [`Nvrtc`] compiles the kernels when they are first needed, and [`Cubins`] keeps what it made.
//!
//! | library | looked for in, first to last |
//! |---|---|
//! | driver | `SELVEDGE_CUDA_DRIVER` (a file, and nothing else then); the names `libcuda.so.1`, `libcuda.so` |
//! | NVRTC | `SELVEDGE_NVRTC` (likewise); `lib64` and `lib` of `CUDA_HOME` and `CUDA_PATH`; the names; `lib64` of `/usr/local/cuda` |
//!
//! The twenty-odd functions of the driver that are needed are called as they are (`calls.rs`), not through the crate
//! cudarc: that one panics where a library or a symbol is missing, looks for libraries by names of its own, and would be
//! the second loader beside the one that `devices` needs anyway.
//!
//! Each op has a file here, which checks lengths and launches, and a kernel of the same name in `kernels/`.

mod approx_scores;
mod assign;
mod backend;
mod calls;
mod centroid_sums;
mod centroid_table;
mod compress;
mod context;
mod cubins;
mod decompress;
mod driver;
mod grid;
mod library;
mod maxsim;
mod maxsim_f32;
mod modules;
mod nvrtc;
mod peak;
mod probe;
mod query_layout;
mod resident;
mod rules;
mod score_kernels;
mod select;
mod selection;
mod top_k;

pub use assign::Centroids;
pub use backend::Cuda;
pub use cubins::{Cubins, Key};
pub use driver::{Device, Driver};
pub use library::Unavailable;
pub use modules::KernelVariant;
pub use nvrtc::{CompileError, Compiled, Nvrtc};
pub use peak::Peak;
pub use query_layout::Query;
pub use resident::{DeviceEmbeddings, LoadedCodec, LoadedPassages, Scores, Table};

/// What this machine has.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The driver.
    pub driver: Result<Driver, Unavailable>,
    /// Its devices, in the driver's order; none without a driver.
    pub devices: Vec<Result<Device, Unavailable>>,
    /// The run-time compiler.
    pub nvrtc: Result<Nvrtc, Unavailable>,
}

/// Looks for the driver, its devices and NVRTC.
pub fn devices() -> Inventory {
    let driver = Driver::get();
    let devices = driver.as_ref().map(Driver::devices).unwrap_or_default();
    Inventory { driver, devices, nvrtc: Nvrtc::get() }
}
