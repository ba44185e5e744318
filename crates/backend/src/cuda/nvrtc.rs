//! NVRTC, the compiler of kernels at run time.

use super::library::{Loaded, Unavailable, load};
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// NVRTC, loaded.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc {
    library: Loaded,
    version: (c_int, c_int),
}

impl Nvrtc {
    /// The compiler of this machine; it is looked for once.
    pub fn get() -> Result<Self, Unavailable> {
        static NVRTC: OnceLock<Result<Nvrtc, Unavailable>> = OnceLock::new();
        NVRTC.get_or_init(Self::open).clone()
    }

    fn open() -> Result<Self, Unavailable> {
        let library = load("NVRTC", "SELVEDGE_NVRTC", places())?;
        let mut version = (0, 0);
        // SAFETY: the type is that of nvrtc.h, and `version` is where it writes.
        unsafe {
            let get = library.symbol::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>("nvrtcVersion")?;
            library.check("nvrtcVersion", get(&mut version.0, &mut version.1))?;
        }
        Ok(Self { library, version })
    }

    /// The file, or the name by which the loader found it.
    pub fn path(&self) -> &'static Path {
        self.library.path()
    }

    /// Major and minor.
    pub fn version(&self) -> (u32, u32) {
        (self.version.0 as u32, self.version.1 as u32)
    }
}

/// Where it may be, first to last.
fn places() -> Vec<PathBuf> {
    let names = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"];
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let folders = homes.flat_map(|home| [home.join("lib64"), home.join("lib")]);
    let in_folder = |folder: PathBuf| names.map(|name| folder.join(name));
    folders
        .flat_map(in_folder)
        .chain(names.map(PathBuf::from))
        .chain(in_folder("/usr/local/cuda/lib64".into()))
        .collect()
}
