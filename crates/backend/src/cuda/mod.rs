//! NVIDIA GPUs: which there are on this machine, and why the rest is not.
//!
//! Nothing is linked. The driver (`libcuda`) and the compiler (`libnvrtc`) are looked for when they are first asked
//! for, and stay loaded; what is missing is an [`Unavailable`] that says where it was looked for. There is no op here
//! yet: [`devices`] says what there is, [`Nvrtc`] compiles, and [`Cubins`] keeps what it made.
//!
//! | library | looked for in, first to last |
//! |---|---|
//! | driver | `SELVEDGE_CUDA_DRIVER` (a file, and nothing else then); the names `libcuda.so.1`, `libcuda.so` |
//! | NVRTC | `SELVEDGE_NVRTC` (likewise); `lib64` and `lib` of `CUDA_HOME` and `CUDA_PATH`; the names; `lib64` of `/usr/local/cuda` |

mod cubins;
mod driver;
mod library;
mod nvrtc;

pub use cubins::{Cubins, Key};
pub use driver::{Device, Driver};
pub use library::Unavailable;
pub use nvrtc::{CompileError, Compiled, Nvrtc};

/// What this machine has.
#[derive(Clone, Debug)]
pub struct Found {
    /// The driver.
    pub driver: Result<Driver, Unavailable>,
    /// Its devices, in the driver's order; none without a driver.
    pub devices: Vec<Result<Device, Unavailable>>,
    /// The run-time compiler.
    pub nvrtc: Result<Nvrtc, Unavailable>,
}

/// Looks for the driver, its devices and NVRTC.
pub fn devices() -> Found {
    let driver = Driver::get();
    let devices = driver.as_ref().map(Driver::devices).unwrap_or_default();
    Found { driver, devices, nvrtc: Nvrtc::get() }
}
