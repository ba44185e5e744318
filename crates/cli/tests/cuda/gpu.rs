//! GPU of a test's `selvedge`: the machine's or the emulated one.

#[path = "../../../../tests/emulator/compiler.rs"]
mod compiler;

use crate::support::Collection;
use selvedge_backend::Cuda;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the command that builds an index of a collection's embeddings.
pub fn index(name: &str, options: &str) -> String {
    format!("index --embeddings docs.npy --doclens lens.npy --ids ids.txt {name} {options}")
}

/// Environment variables: paths of driver, NVRTC and CUBINs, and settings of the emulated ones.
#[derive(Clone)]
pub struct Gpu {
    variables: Vec<(&'static str, OsString)>,
}

impl Gpu {
    /// Returns this machine's GPU, or else the emulated one. CUBINs are stored beside the collection.
    pub fn here(c: &Collection) -> Option<Self> {
        // `EMULATED_MUTATION` plants a bug in the emulated one.
        if std::env::var_os("EMULATED_MUTATION").is_none() && Cuda::new(0).is_ok() {
            return Some(Self { variables: vec![("SELVEDGE_CUBINS", c.path("cubins").into())] });
        }
        Self::emulated(c)
    }

    /// Returns the emulated GPU; `None` without a C++ compiler.
    pub fn emulated(c: &Collection) -> Option<Self> {
        let (driver, nvrtc) = emulator()?;
        let [driver, nvrtc, cubins] = [driver, nvrtc, &c.path("cubins")].map(|path| path.into());
        let variables = vec![("SELVEDGE_CUDA_DRIVER", driver), ("SELVEDGE_NVRTC", nvrtc), ("SELVEDGE_CUBINS", cubins)];
        Some(Self { variables })
    }

    /// Adds or replaces a variable.
    pub fn with(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.as_ref().into()));
        self
    }

    /// Returns the command `selvedge words` on this GPU.
    pub fn command(&self, c: &Collection, words: &str) -> Command {
        let variables: Vec<(&str, &OsStr)> = self.variables.iter().map(|(name, value)| (*name, &**value)).collect();
        c.command(words, &variables)
    }

    /// Runs a command that must succeed, and returns its output.
    pub fn ok(&self, c: &Collection, words: &str) -> String {
        let output = self.command(c, words).output().unwrap();
        assert!(output.status.success(), "selvedge {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail without output and without a panic, and returns its messages.
    pub fn refused(&self, c: &Collection, words: &str) -> String {
        let output = self.command(c, words).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "selvedge {words}: {complaint}");
        assert!(!complaint.contains("panicked") && output.stdout.is_empty(), "selvedge {words}: {complaint}");
        complaint
    }
}

/// Builds the emulated driver and NVRTC once for all tests of this file. They stay in the build's folder, because
/// processes load them until the last test is done.
fn emulator() -> Option<(&'static Path, &'static Path)> {
    static EMULATOR: OnceLock<Option<(PathBuf, PathBuf)>> = OnceLock::new();
    let build = || {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let fresh = tempfile::tempdir_in(place).unwrap();
        let (driver, nvrtc) = compiler::emulator(fresh.path())?;
        // A rename replaces a library whole, while other processes load the earlier one.
        let keep = |library: PathBuf| {
            let kept = place.join(library.file_name().unwrap());
            std::fs::rename(library, &kept).unwrap();
            kept
        };
        Some((keep(driver), keep(nvrtc)))
    };
    EMULATOR.get_or_init(build).as_ref().map(|(driver, nvrtc)| (&**driver, &**nvrtc))
}
