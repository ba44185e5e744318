//! Errors of other crates as errors of this one, and errors that are made in several places.

use super::Error;
use std::path::Path;

impl From<selvedge_search::Error> for Error {
    fn from(error: selvedge_search::Error) -> Self {
        match error {
            selvedge_search::Error::Index(error) => Self::Index(error),
            error => Self::Search(error),
        }
    }
}

/// A malformed file keeps its path and reason.
impl From<selvedge_bridges::Error> for Error {
    fn from(error: selvedge_bridges::Error) -> Self {
        match error {
            selvedge_bridges::Error::Io { path, source } => Self::Io { path, source },
            selvedge_bridges::Error::Malformed { path, reason } => Self::Npy { path, reason },
            selvedge_bridges::Error::Index(error) => Self::Index(error),
            selvedge_bridges::Error::Cancelled => Self::Cancelled,
            error => Self::Bridges(Box::new(error)),
        }
    }
}

impl Error {
    /// Error of ids that the index does not have.
    pub(crate) fn unknown_ids(missing: &[&str]) -> Self {
        let first = missing.iter().take(20).map(|&id| id.to_owned()).collect();
        Self::UnknownIds { total: missing.len(), first }
    }

    /// Returns a function that makes an I/O error at `path`, for `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    /// Makes the error of an option out of its range.
    pub(crate) fn option(option: &'static str, value: impl std::fmt::Display, reason: &'static str) -> Self {
        Self::BadOption { option, value: value.to_string(), reason }
    }

    /// Makes the error of a malformed line.
    pub fn line(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self::Line { path: path.into(), line, reason: reason.into() }
    }
}

/// A cancelled training is [`Error::Cancelled`], like every other stage.
impl From<selvedge_codec::Error> for Error {
    fn from(error: selvedge_codec::Error) -> Self {
        match error {
            selvedge_codec::Error::Cancelled => Self::Cancelled,
            error => Self::Codec(error),
        }
    }
}
