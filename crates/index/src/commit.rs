//! Changes of an index that concern its manifest alone.

use crate::error::Result;
use crate::staging::Staging;
use crate::storage::storage_at;
use crate::writer::Writer;
use std::path::Path;

/// Replaces the search parameters in the manifest of the index at `path` by the value that `change` returns, in the
/// format of [`Manifest::search`](crate::Manifest::search).
///
/// `change` gets the stored parameters, `None` if there are none. It runs under the lock of the directory: of
/// two concurrent calls, the second gets the parameters that the first one wrote.
///
/// # Errors
/// [`Error::NoIndex`](crate::Error::NoIndex) or another error of reading the index if there is no sound one,
/// [`Error::Io`](crate::Error::Io) if the directory cannot be written; the index is then as it was.
pub fn write_search(path: &Path, change: impl FnOnce(Option<&serde_json::Value>) -> serde_json::Value) -> Result<()> {
    let mut writer = Writer::open_waiting(storage_at(path)?)?;
    let search = change(writer.base_mut().index.manifest().search.as_ref());
    writer.set_search(Some(search));
    writer.commit().map(drop)
}

/// Checks that the index at `path` can be changed, and leaves it as it is.
///
/// # Errors
/// As [`write_search`].
pub fn check_writable(path: &Path) -> Result<()> {
    Staging::open(storage_at(path)?, true).map(drop)
}

/// Checks the same without waiting for another writer.
///
/// # Errors
/// As [`write_search`], and [`Error::Locked`](crate::Error::Locked) where another writer holds the lock.
pub fn check_unlocked(path: &Path) -> Result<()> {
    Staging::open(storage_at(path)?, false).map(drop)
}
