//! The driver and its devices, through the functions of `libcuda` that describe them.

use super::{
    calls::SYMBOLS,
    library::{Loaded, Unavailable, load, load_file},
};
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::Path;
use std::sync::OnceLock;

/// Attributes of a device: values of `CUdevice_attribute` in cuda.h.
const MULTIPROCESSORS: c_int = 16;
const CAPABILITY_MAJOR: c_int = 75;
const CAPABILITY_MINOR: c_int = 76;

/// Name of the library in messages.
const LIBRARY: &str = "the CUDA driver";

/// The driver's functions that describe it, called directly: without a device, or with a driver that is too old for
/// launches, they still say what there is.
#[cfg(test)]
pub(super) const DESCRIBING: [&str; 4] =
    ["cuDeviceGetCount", "cuDeviceGetName", "cuDeviceTotalMem_v2", "cuDriverGetVersion"];

/// Limit on the bytes of a device's name.
const NAME_BYTES: usize = 256;

/// The initialized driver.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    library: Loaded,
    version: c_int,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Number of the device, from 0, among those that `CUDA_VISIBLE_DEVICES` leaves visible.
    pub ordinal: usize,
    /// Product name.
    pub name: String,
    /// Compute capability, major and minor: (9, 0) is `sm_90`.
    pub capability: (u32, u32),
    /// Size of the device's memory in bytes.
    pub memory_bytes: u64,
    /// Number of streaming multiprocessors.
    pub multiprocessors: u32,
}

impl Driver {
    /// Loads the driver of this machine; the search runs once per process.
    ///
    /// # Errors
    /// [`Unavailable::NotFound`] if no place has it, [`Unavailable::MissingSymbol`] if the library lacks a function,
    /// [`Unavailable::Failed`] if it does not initialize.
    pub fn get() -> Result<Self, Unavailable> {
        static DRIVER: OnceLock<Result<Driver, Unavailable>> = OnceLock::new();
        DRIVER.get_or_init(Self::open).clone()
    }

    /// Loads the driver in `file`.
    ///
    /// # Errors
    /// [`Unavailable::NotFound`] if the file does not load, [`Unavailable::MissingSymbol`] if it lacks a function,
    /// [`Unavailable::Failed`] if it does not initialize.
    pub fn from_file(file: &Path) -> Result<Self, Unavailable> {
        Self::of(load_file(LIBRARY, file)?)
    }

    fn open() -> Result<Self, Unavailable> {
        let names = if cfg!(windows) { &["nvcuda.dll"][..] } else { &["libcuda.so.1", "libcuda.so"] };
        Self::of(load(LIBRARY, "SELVEDGE_CUDA_DRIVER", names.iter().map(Into::into).collect())?)
    }

    fn of(library: Loaded) -> Result<Self, Unavailable> {
        let mut version = 0;
        // SAFETY: the types match cuda.h, and the second call writes to `version`.
        unsafe {
            let init = library.symbol::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")?;
            library.check("cuInit", init(0))?;
            let get = library.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDriverGetVersion")?;
            library.check("cuDriverGetVersion", get(&mut version))?;
        }
        Ok(Self { library, version })
    }

    /// Path of the library, or the name by which the loader found it.
    pub fn path(&self) -> &'static Path {
        self.library.path()
    }

    /// CUDA version of the driver, major and minor.
    pub fn version(&self) -> (u32, u32) {
        ((self.version / 1000) as u32, (self.version % 1000 / 10) as u32)
    }

    /// Checks that cudarc finds every function that it is called for, in this library: without a function, or with
    /// another library, it would panic or call another driver.
    pub(super) fn probe(&self) -> Result<(), Unavailable> {
        for symbol in SYMBOLS {
            self.library.address(symbol)?;
        }
        let own = self.library.address("cuInit")?;
        // Nothing found: cudarc would find nothing either.
        let found = cudarc_names().into_iter().find_map(|name| load_file(LIBRARY, Path::new(&name)).ok());
        match found {
            Some(other) if other.address("cuInit").ok() == Some(own) => Ok(()),
            other => Err(Unavailable::AnotherDriver {
                path: self.library.path().into(),
                found: other.map(|other| other.path().into()),
            }),
        }
    }

    /// Returns the devices in the driver's order, with the error in place of a device that cannot be described. If the
    /// devices cannot be counted, that error is the only element.
    pub fn devices(&self) -> Vec<Result<Device, Unavailable>> {
        match self.number_of_devices() {
            Ok(number) => (0..number).map(|ordinal| self.device(ordinal)).collect(),
            Err(error) => vec![Err(error)],
        }
    }

    fn number_of_devices(&self) -> Result<c_int, Unavailable> {
        let mut number = 0;
        // SAFETY: the type matches cuda.h, and the call writes to `number`.
        unsafe {
            let count = self.library.symbol::<unsafe extern "C" fn(*mut c_int) -> c_int>("cuDeviceGetCount")?;
            self.library.check("cuDeviceGetCount", count(&mut number))?;
        }
        Ok(number)
    }

    /// Returns the `CUdevice` of a device, which is not promised to be its ordinal.
    fn handle(&self, ordinal: c_int) -> Result<c_int, Unavailable> {
        let mut device = 0;
        // SAFETY: the type matches cuda.h, and the call writes to `device`.
        unsafe {
            let get = self.library.symbol::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>("cuDeviceGet")?;
            self.library.check("cuDeviceGet", get(&mut device, ordinal))?;
        }
        Ok(device)
    }

    fn device(&self, ordinal: c_int) -> Result<Device, Unavailable> {
        let device = self.handle(ordinal)?;
        let (mut bytes, mut name) = (0usize, [0 as c_char; NAME_BYTES]);
        // SAFETY: the types match cuda.h; each call writes to the variable that it is given, the last one at
        // most NAME_BYTES bytes, with a zero among them.
        let name = unsafe {
            let total =
                self.library.symbol::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>("cuDeviceTotalMem_v2")?;
            self.library.check("cuDeviceTotalMem_v2", total(&mut bytes, device))?;
            let named =
                self.library.symbol::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("cuDeviceGetName")?;
            self.library.check("cuDeviceGetName", named(name.as_mut_ptr(), NAME_BYTES as c_int, device))?;
            name[NAME_BYTES - 1] = 0;
            CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned()
        };
        Ok(Device {
            ordinal: ordinal as usize,
            name,
            capability: (self.attribute(device, CAPABILITY_MAJOR)?, self.attribute(device, CAPABILITY_MINOR)?),
            memory_bytes: bytes as u64,
            multiprocessors: self.attribute(device, MULTIPROCESSORS)?,
        })
    }

    fn attribute(&self, device: c_int, attribute: c_int) -> Result<u32, Unavailable> {
        let mut value = 0;
        // SAFETY: the type matches cuda.h, and the call writes to `value`.
        unsafe {
            let get = self
                .library
                .symbol::<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>("cuDeviceGetAttribute")?;
            self.library.check("cuDeviceGetAttribute", get(&mut value, attribute, device))?;
        }
        Ok(value.max(0) as u32)
    }
}

/// Names by which cudarc searches for the driver, in its order (`get_lib_name_candidates` for "cuda" and "nvcuda",
/// which not every build of cudarc has). The major version is that of cudarc's feature, which another crate may choose.
fn cudarc_names() -> Vec<String> {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let mut names = Vec::new();
    for name in ["cuda", "nvcuda"] {
        names.push(format!("{prefix}{name}{suffix}"));
        names.push(format!("{prefix}{name}64{suffix}"));
        names.extend([13, 12, 11, 10, 9, 1].map(|major| format!("{prefix}{name}{suffix}.{major}")));
    }
    names
}
