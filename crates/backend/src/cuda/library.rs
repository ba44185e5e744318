//! A shared library that may not be there.

use libloading::{Library, Symbol};
use std::ffi::{OsString, c_int};
use std::path::{Path, PathBuf};

/// Why something of CUDA cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// No place had the library, or it did not load.
    #[error("{library} was not found; looked for {}", reasons(tried))]
    NotFound {
        /// What was looked for.
        library: &'static str,
        /// Each file or name that was tried, and what the loader said of it.
        tried: Vec<(PathBuf, String)>,
    },
    /// The library has not what it should.
    #[error("{}: no {symbol} in it; an older version, or another library of that name", path.display())]
    MissingSymbol {
        /// The library.
        path: PathBuf,
        /// The function.
        symbol: &'static str,
    },
    /// A call failed.
    #[error("{}: {call} failed with code {code}{}", path.display(), meaning(call, *code))]
    Failed {
        /// The library.
        path: PathBuf,
        /// The function.
        call: &'static str,
        /// What it returned.
        code: c_int,
    },
}

/// Places, with what the loader said of each but that it is not there.
fn reasons(tried: &[(PathBuf, String)]) -> String {
    let reason = |(path, reason): &(PathBuf, String)| match reason.contains("No such file") {
        true => path.display().to_string(),
        false if reason.starts_with(&*path.to_string_lossy()) => reason.clone(),
        false => format!("{}: {reason}", path.display()),
    };
    tried.iter().map(reason).collect::<Vec<_>>().join(", ")
}

/// The driver's codes that users meet (`CUresult` in cuda.h); NVRTC has others.
fn meaning(call: &str, code: c_int) -> &'static str {
    match code {
        _ if !call.starts_with("cu") => "",
        3 => " (the driver is not initialized)",
        34 => " (a stub of the driver, from a toolkit, not the driver itself)",
        100 => " (there is no device that it could use)",
        101 => " (no such device)",
        803 => " (the driver's library and the kernel's module have different versions)",
        804 => " (this device needs another driver)",
        999 => " (an unknown error of the driver)",
        _ => "",
    }
}

/// A loaded library, for as long as the process lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    library: &'static Library,
    path: &'static Path,
}

/// Loads `library` from the file that the variable `from_env` names or, where there is none, from the first of
/// `places` that has it.
pub(super) fn load(library: &'static str, from_env: &str, places: Vec<PathBuf>) -> Result<Loaded, Unavailable> {
    let named = |name| std::env::var_os(name).filter(|path: &OsString| !path.is_empty());
    let chosen = if from_env.is_empty() { None } else { named(from_env) };
    let places = chosen.map_or(places, |path| vec![path.into()]);
    let mut tried = Vec::new();
    for path in places {
        // SAFETY: loading runs the library's initializers; these are NVIDIA's, or what the user put in their place.
        match unsafe { Library::new(&path) } {
            Ok(found) => {
                // CUDA's libraries do not take being unloaded while threads of theirs are running.
                let library: &'static Library = Box::leak(Box::new(found));
                return Ok(Loaded { library, path: Box::leak(path.into_boxed_path()) });
            }
            Err(error) => tried.push((path, innermost(&error))),
        }
    }
    Err(Unavailable::NotFound { library, tried })
}

/// Loads `library` from `file`.
pub(super) fn load_file(library: &'static str, file: &Path) -> Result<Loaded, Unavailable> {
    load(library, "", vec![file.into()])
}

/// What the loader itself said.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

impl Loaded {
    /// The file, or the name by which the loader found it.
    pub(super) fn path(&self) -> &'static Path {
        self.path
    }

    /// Loads the file `name` that lies beside this library, if there is one: the loader takes it from then on when
    /// something asks for that name, though no path of its leads there.
    pub(super) fn load_neighbour(&self, name: &str) {
        // Of a library that the loader found by name nobody knows where it lies.
        let known = self.path.parent().is_some_and(|folder| !folder.as_os_str().is_empty());
        if known {
            // SAFETY: as for the library itself.
            if let Ok(neighbour) = unsafe { Library::new(self.path.with_file_name(name)) } {
                std::mem::forget(neighbour);
            }
        }
    }

    /// The function `name`.
    ///
    /// # Safety
    /// `F` is its type.
    pub(super) unsafe fn symbol<F>(&self, name: &'static str) -> Result<Symbol<'static, F>, Unavailable> {
        // SAFETY: the caller vouches for the type.
        let symbol = unsafe { self.library.get(name.as_bytes()) };
        symbol.map_err(|_| Unavailable::MissingSymbol { path: self.path.into(), symbol: name })
    }

    /// What a call of `name` returned, as a `Result`.
    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<(), Unavailable> {
        if code == 0 { Ok(()) } else { Err(Unavailable::Failed { path: self.path.into(), call, code }) }
    }
}
