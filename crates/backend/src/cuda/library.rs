//! Shared libraries that are loaded at run time, if they are installed.

use crate::error::newer_than_driver;
use libloading::{Library, Symbol};
use std::ffi::{OsString, c_int, c_void};
use std::path::{Path, PathBuf};

/// Reason why a part of CUDA is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The library was found in no place, or did not load.
    #[error("{library} was not found; looked for {}", reasons(tried))]
    NotFound {
        /// Name of the library.
        library: &'static str,
        /// Each file or name that was tried, with the loader's message.
        tried: Vec<(PathBuf, String)>,
    },
    /// The library lacks a function.
    #[error("{}: {symbol} is missing; the library is too old, or another one of that name", path.display())]
    MissingSymbol {
        /// Path of the library.
        path: PathBuf,
        /// Name of the function.
        symbol: &'static str,
    },
    /// NVRTC is of a newer major version than the driver, which cannot load its kernels.
    #[error("{}", newer_than_driver(path, *nvrtc, *driver))]
    NewerThanDriver {
        /// Path of NVRTC, the newest that was found.
        path: PathBuf,
        /// Version of NVRTC, major and minor.
        nvrtc: (u32, u32),
        /// CUDA version of the driver, major and minor.
        driver: (u32, u32),
    },
    /// The crate cudarc would use another driver than this one.
    #[error(
        "{}: the loader finds {} by the names of the driver; let SELVEDGE_CUDA_DRIVER and the loader's path name the \
         same file",
        path.display(), found.as_ref().map_or("nothing".into(), |found| found.display().to_string())
    )]
    AnotherDriver {
        /// Path of the driver.
        path: PathBuf,
        /// Name by which the loader finds another one, if it finds any.
        found: Option<PathBuf>,
    },
    /// A call failed.
    #[error("{}: {call} failed with code {code}{}", path.display(), meaning(call, *code))]
    Failed {
        /// Path of the library.
        path: PathBuf,
        /// Name of the function.
        call: &'static str,
        /// Code that the call returned.
        code: c_int,
    },
}

/// Lists the places, with the loader's message where it says more than that the file is missing.
fn reasons(tried: &[(PathBuf, String)]) -> String {
    let reason = |(path, reason): &(PathBuf, String)| match reason.contains("No such file") {
        true => path.display().to_string(),
        false if reason.starts_with(&*path.to_string_lossy()) => reason.clone(),
        false => format!("{}: {reason}", path.display()),
    };
    tried.iter().map(reason).collect::<Vec<_>>().join(", ")
}

/// Explains the driver's codes that users see (`CUresult` in cuda.h), not NVRTC's.
fn meaning(call: &str, code: c_int) -> &'static str {
    match code {
        _ if !call.starts_with("cu") => "",
        3 => " (the driver is not initialized)",
        34 => " (a stub of the driver, from a toolkit, not the driver itself)",
        100 => " (the driver has no usable device)",
        101 => " (no such device)",
        803 => " (the driver's library and the kernel's module have different versions)",
        804 => " (this device needs another driver)",
        999 => " (an unknown error of the driver)",
        _ => "",
    }
}

/// A library that stays loaded as long as the process runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    library: &'static Library,
    path: &'static Path,
}

/// Loads `library` from the file that the variable `from_env` names or, if it is not set, from the first of `places`
/// that has it.
pub(super) fn load(library: &'static str, from_env: &str, places: Vec<PathBuf>) -> Result<Loaded, Unavailable> {
    let mut tried = Vec::new();
    for path in chosen(from_env, places) {
        match open(path) {
            Ok(loaded) => return Ok(loaded),
            Err(failed) => tried.push(failed),
        }
    }
    Err(Unavailable::NotFound { library, tried })
}

/// Loads `library` from the file that the variable `from_env` names or, if it is not set, from all of `places` that
/// have it.
pub(super) fn load_all(
    library: &'static str,
    from_env: &str,
    places: Vec<PathBuf>,
) -> Result<Vec<Loaded>, Unavailable> {
    let (mut loaded, mut tried) = (Vec::new(), Vec::new());
    for path in chosen(from_env, places) {
        match open(path) {
            Ok(found) => loaded.push(found),
            Err(failed) => tried.push(failed),
        }
    }
    if loaded.is_empty() { Err(Unavailable::NotFound { library, tried }) } else { Ok(loaded) }
}

/// Loads `library` from `file`.
pub(super) fn load_file(library: &'static str, file: &Path) -> Result<Loaded, Unavailable> {
    open(file.into()).map_err(|failed| Unavailable::NotFound { library, tried: vec![failed] })
}

/// Returns the file that the variable `from_env` names or, if it is not set, `places`.
fn chosen(from_env: &str, places: Vec<PathBuf>) -> Vec<PathBuf> {
    let named = std::env::var_os(from_env).filter(|path: &OsString| !path.is_empty());
    named.map_or(places, |path| vec![path.into()])
}

/// Loads a library, for good: CUDA's libraries must not be unloaded while their threads run. Otherwise returns the path
/// with the loader's message.
fn open(path: PathBuf) -> Result<Loaded, (PathBuf, String)> {
    // SAFETY: loading runs the library's initializers; NVIDIA's, or those in a library that the user named.
    match unsafe { Library::new(&path) } {
        Ok(found) => Ok(Loaded { library: Box::leak(Box::new(found)), path: Box::leak(path.into_boxed_path()) }),
        Err(error) => Err((path, innermost(&error))),
    }
}

/// Returns the message of the innermost error: the loader's own.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

impl Loaded {
    /// Path of the library, or the name by which the loader found it.
    pub(super) fn path(&self) -> &'static Path {
        self.path
    }

    /// Loads the file `name` in the folder of this library, if there is one. From then on the loader finds it by
    /// that name, although the folder is not on the loader's path.
    pub(super) fn load_neighbour(&self, name: &str) {
        // The folder of a library that the loader found by name is unknown.
        let known = self.path.parent().is_some_and(|folder| !folder.as_os_str().is_empty());
        if known {
            // SAFETY: as for the library itself.
            if let Ok(neighbour) = unsafe { Library::new(self.path.with_file_name(name)) } {
                std::mem::forget(neighbour);
            }
        }
    }

    /// Looks up the function `name`.
    ///
    /// # Errors
    /// [`Unavailable::MissingSymbol`] if the library lacks it.
    ///
    /// # Safety
    /// `F` is the type of the function.
    pub(super) unsafe fn symbol<F>(&self, name: &'static str) -> Result<Symbol<'static, F>, Unavailable> {
        // SAFETY: the caller guarantees the type.
        let symbol = unsafe { self.library.get(name.as_bytes()) };
        symbol.map_err(|_| Unavailable::MissingSymbol { path: self.path.into(), symbol: name })
    }

    /// Returns the address of the function `name`.
    ///
    /// # Errors
    /// [`Unavailable::MissingSymbol`] if the library lacks it.
    pub(super) fn address(&self, name: &'static str) -> Result<usize, Unavailable> {
        // SAFETY: a pointer to any type is as large as a function, and is not called.
        unsafe { Ok(*self.symbol::<*const c_void>(name)? as usize) }
    }

    /// Turns the code that `call` returned into a `Result`.
    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<(), Unavailable> {
        if code == 0 { Ok(()) } else { Err(Unavailable::Failed { path: self.path.into(), call, code }) }
    }
}
