//! The GPU that a test's `selvedge` finds.

#[path = "../../../../tests/emulator/compiler.rs"]
mod compiler;

use crate::support::Collection;
use selvedge_backend::Cuda;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Words that make an index of a collection's embeddings.
pub fn index(name: &str, options: &str) -> String {
    format!("index --embeddings docs.npy --doclens lens.npy --ids ids.txt {name} {options}")
}

/// Variables of the environment: where driver, NVRTC and CUBINs are, and what the emulated ones are asked.
#[derive(Clone)]
pub struct Gpu {
    variables: Vec<(&'static str, OsString)>,
}

impl Gpu {
    /// This machine's, or the emulated one. CUBINs are kept beside the collection.
    pub fn here(c: &Collection) -> Option<Self> {
        // What `EMULATED_MUTATION` plants a bug in is the emulated one.
        if std::env::var_os("EMULATED_MUTATION").is_none() && Cuda::new(0).is_ok() {
            return Some(Self { variables: vec![("SELVEDGE_CUBINS", c.path("cubins").into())] });
        }
        Self::emulated(c)
    }

    /// The emulated one.
    pub fn emulated(c: &Collection) -> Option<Self> {
        let (driver, nvrtc) = emulator()?;
        let [driver, nvrtc, cubins] = [driver, nvrtc, &c.path("cubins")].map(|path| path.into());
        let variables = vec![("SELVEDGE_CUDA_DRIVER", driver), ("SELVEDGE_NVRTC", nvrtc), ("SELVEDGE_CUBINS", cubins)];
        Some(Self { variables })
    }

    /// The same with another variable.
    pub fn with(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.as_ref().into()));
        self
    }

    /// `selvedge` with these words and this GPU.
    pub fn command(&self, c: &Collection, words: &str) -> Command {
        let variables: Vec<(&str, &OsStr)> = self.variables.iter().map(|(name, value)| (*name, &**value)).collect();
        c.command(words, &variables)
    }

    /// What it prints; it must succeed.
    pub fn ok(&self, c: &Collection, words: &str) -> String {
        let output = self.command(c, words).output().unwrap();
        assert!(output.status.success(), "selvedge {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it complains about; it must fail, without a word on its standard output and without a panic.
    pub fn refused(&self, c: &Collection, words: &str) -> String {
        let output = self.command(c, words).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "selvedge {words}: {complaint}");
        assert!(!complaint.contains("panicked") && output.stdout.is_empty(), "selvedge {words}: {complaint}");
        complaint
    }
}

/// The emulated driver and NVRTC, made once for all tests of this file. They stay in the build's folder, as processes load
/// them until the last test is done.
fn emulator() -> Option<(&'static Path, &'static Path)> {
    static EMULATOR: OnceLock<Option<(PathBuf, PathBuf)>> = OnceLock::new();
    let build = || {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let fresh = tempfile::tempdir_in(place).unwrap();
        let (driver, nvrtc) = compiler::emulator(fresh.path())?;
        // Each appears whole, whoever loads the one before.
        let keep = |library: PathBuf| {
            let kept = place.join(library.file_name().unwrap());
            std::fs::rename(library, &kept).unwrap();
            kept
        };
        Some((keep(driver), keep(nvrtc)))
    };
    EMULATOR.get_or_init(build).as_ref().map(|(driver, nvrtc)| (&**driver, &**nvrtc))
}
