//! Command line and environment of a benchmark.

use std::ffi::OsString;
use std::path::PathBuf;

/// Variable that selects how much is measured.
pub const MODE: &str = "SELVEDGE_BENCH";

/// Times of the ops as one table; the rows have names such as `maxsim/cpu/avx2/nbits=2 Q=32`.
#[derive(clap::Parser, Debug)]
#[command(after_help = "SELVEDGE_BENCH=full measures every shape and instruction set.")]
pub struct Options {
    /// Measure only rows whose name contains one of these
    pub names: Vec<String>,
    /// List the names of the rows and measure nothing
    #[arg(long)]
    pub list: bool,
    /// Set by `cargo bench`
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    /// Returns whether these options select the row `name`.
    pub fn select(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Returns whether the mode is `full`, which measures every shape on every instruction set.
///
/// # Errors
/// [`Error::Mode`] if `SELVEDGE_BENCH` is neither `default` nor `full`.
pub fn is_full(mode: Option<OsString>) -> Result<bool, Error> {
    match mode.as_deref().unwrap_or_default().to_str() {
        Some("" | "default") => Ok(false),
        Some("full") => Ok(true),
        _ => Err(Error::Mode { found: mode.unwrap_or_default() }),
    }
}

/// Reasons to stop a benchmark.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `SELVEDGE_BENCH` has an unknown value.
    #[error("{MODE}={}: unknown; known are `default` (at most five minutes) and `full` (everything)", found.display())]
    Mode { found: OsString },
    /// No row is selected.
    #[error("no row's name contains {}; the rows are (more with {MODE}=full):\n  {}",
        names.join(" or "),
        rows.join("\n  ")
    )]
    NoRow { names: Vec<String>, rows: Vec<String> },
    /// `SELVEDGE_ISA` names no instruction set of this machine.
    #[error(transparent)]
    Backend(#[from] selvedge_backend::Error),
    /// A report could not be written.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}
