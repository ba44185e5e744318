//! The formats that are read, one file each, and the recognition of each by its files.
//!
//! | format | recognized by |
//! |---|---|
//! | WARP | `residuals.compacted.pt` |
//! | PLAID | `centroids.pt` |
//! | xtr-warp-rs | `centroids.npy`, and `next_passage_id` in `metadata.json` |
//! | next-plaid | `centroids.npy`, and `embedding_dim` in `metadata.json`; binary if its `binary` is true |
//! | fast-plaid | `centroids.npy` otherwise |

mod chunked_npy;
mod parts;
mod plaid;
mod warp;

use crate::folder::Folder;
use crate::source::{Format, Source};
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Opens the index of another program, whichever it is. Nothing in it is changed.
///
/// # Errors
/// [`Error::Unknown`] if no format is recognized, [`Error::Unsupported`] for a variant that is not read,
/// [`Error::Malformed`], [`Error::Count`] and [`Error::Io`] if its files are damaged or missing.
pub fn open(path: &Path) -> Result<Source> {
    let folder = Folder::open(path)?;
    match detect(&folder)? {
        Format::Plaid => plaid::open(&folder),
        Format::Warp => warp::open_torch(&folder),
        Format::XtrWarp => warp::open_npy(&folder),
        format => chunked_npy::open(&folder, format),
    }
}

/// Recognizes the format of an index.
fn detect(folder: &Folder) -> Result<Format> {
    if folder.has("residuals.compacted.pt") {
        return Ok(Format::Warp);
    }
    if folder.has("centroids.pt") {
        return Ok(Format::Plaid);
    }
    if !folder.has("centroids.npy") {
        return Err(Error::Unknown { path: folder.path().into(), reason: other_contents(folder) });
    }
    let metadata: Value = folder.json("metadata.json")?;
    let has = |key: &str| metadata.get(key).is_some();
    Ok(match (has("next_passage_id"), has("embedding_dim"), metadata.get("binary")) {
        (true, ..) => Format::XtrWarp,
        (_, true, Some(Value::Bool(true))) => Format::NextPlaidBinary,
        (_, true, _) => Format::NextPlaid,
        _ => Format::FastPlaid,
    })
}

/// Reason why a folder is no index that is read.
fn other_contents(folder: &Folder) -> String {
    let is_own = std::fs::read_dir(folder.path())
        .is_ok_and(|entries| entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("manifest-")));
    match is_own {
        true => "is an index of selvedge already".into(),
        false if folder.has("plan.json") => "has plan.json but no centroids: its build has not ended".into(),
        false => "has no centroids.pt, centroids.npy or residuals.compacted.pt".into(),
    }
}
