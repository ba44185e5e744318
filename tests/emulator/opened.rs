//! The GPU of this machine, or the emulated one.

#[path = "compiler.rs"]
pub mod compiler;

use selvedge_backend::Cuda;
use selvedge_backend::cuda::{Cubins, CudaOptions, Driver, Nvrtc};
use std::sync::OnceLock;

/// Opens the first GPU of this machine, or the emulated one; `None` if there is neither.
pub fn open(options: CudaOptions) -> Option<Cuda> {
    if cfg!(miri) { None } else { Cuda::open(options.clone()).ok().or_else(|| emulated(options)) }
}

fn emulated(options: CudaOptions) -> Option<Cuda> {
    // A process has one driver.
    static LIBRARIES: OnceLock<Option<(Driver, Nvrtc)>> = OnceLock::new();
    let load = || {
        // The files may be deleted once they are loaded.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (driver, nvrtc) = compiler::emulator(folder.path())?;
        let driver = Driver::from_file(&driver).expect("the emulated driver loads");
        Some((driver, Nvrtc::from_file(&nvrtc).expect("the emulated NVRTC loads")))
    };
    let (driver, nvrtc) = (*LIBRARIES.get_or_init(load))?;
    let (driver, nvrtc, cubins) = (Some(driver), Some(nvrtc), Some(Cubins::nowhere()));
    Some(Cuda::open(CudaOptions { driver, nvrtc, cubins, ..options }).expect("the emulated GPU is there"))
}
