//! The file or directory of an error.

use super::Error;
use std::path::Path;

impl Error {
    /// File or directory that the error is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Exists { path }
            | Self::Locked { path, .. }
            | Self::LockLost { path, .. }
            | Self::Conflict { path }
            | Self::NoIndex { path }
            | Self::NoManifest { path }
            | Self::OldFormat { path, .. }
            | Self::IdTable { path, .. }
            | Self::Deleted { path, .. }
            | Self::Columns { path, .. }
            | Self::NoColumns { path }
            | Self::WordsNeeded { path }
            | Self::MissingFile { path }
            | Self::BadMagic { path, .. }
            | Self::FormatVersion { path, .. }
            | Self::WrongKind { path, .. }
            | Self::WrongNumber { path, .. }
            | Self::Truncated { path, .. }
            | Self::TrailingBytes { path, .. }
            | Self::HeaderChecksum { path, .. }
            | Self::Checksum { path, .. }
            | Self::Replaced { path, .. }
            | Self::Manifest { path, .. }
            | Self::CodecFile { path, .. }
            | Self::Saturated { path, .. }
            | Self::Contents { path, .. }
            | Self::InvertedLists { path, .. }
            | Self::ListMismatch { path, .. }
            | Self::Documents { path, .. } => Some(path),
            _ => None,
        }
    }
}
