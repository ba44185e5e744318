//! The CUDA backend under test: this machine's GPU, or where there is none the emulated driver of `tests/emulator/`.
//!
//! Without a C++ compiler there is neither; the suite then says so and leaves it out, unless `SELVEDGE_REQUIRE_CUDA=1`.

#[path = "../emulator/compiler.rs"]
pub mod compiler;

use selvedge_backend::Cuda;
use selvedge_backend::cuda::{Cubins, Driver, Nvrtc};
use std::sync::OnceLock;

/// The backend, made once.
pub fn cuda() -> Option<&'static Cuda> {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    CUDA.get_or_init(|| if cfg!(miri) { None } else { Cuda::new(0).ok().or_else(emulated) }).as_ref()
}

fn emulated() -> Option<Cuda> {
    // Once they are loaded nobody needs the files any more.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (driver, nvrtc) = compiler::emulator(folder.path())?;
    let driver = Driver::from_file(&driver).expect("the emulated driver loads");
    let nvrtc = Nvrtc::from_file(&nvrtc).expect("the emulated NVRTC loads");
    Some(Cuda::with(driver, nvrtc, Cubins::nowhere(), 0).expect("the emulated GPU is there"))
}
