//! Changes to an existing index: a new manifest replaces the old one.
//!
//! In: the directory of an index and a change. Out: the same index with the new manifest. A process that
//! opens the index meanwhile reads the old manifest or the new one. Concurrent changes run one after the
//! other.

use crate::disk::{DirectoryLock, PartialDirectory, sync_directory};
use crate::error::{Result, io_at};
use crate::files::IndexFile;
use crate::manifest::Manifest;
use std::path::Path;

/// Replaces the search parameters in the manifest of the index at `path` by the value that `change` returns, in the
/// format of [`Manifest::search`].
///
/// `change` gets the stored parameters, `None` if there are none. It runs under the lock of the directory: of
/// two concurrent calls, the second gets the parameters that the first one wrote.
///
/// # Errors
/// [`Error::NoIndex`](crate::Error::NoIndex) or another error of reading the manifest if there is no sound
/// index, [`Error::Io`](crate::Error::Io) if the directory cannot be written; the index is then as it was.
pub fn write_search(path: &Path, change: impl FnOnce(Option<&serde_json::Value>) -> serde_json::Value) -> Result<()> {
    update(path, |manifest| manifest.search = Some(change(manifest.search.as_ref())))
}

/// Checks that the index at `path` can be changed, and leaves it as it is.
///
/// # Errors
/// As [`write_search`].
pub fn check_writable(path: &Path) -> Result<()> {
    Manifest::read(path)?;
    let lock = DirectoryLock::wait(path)?;
    PartialDirectory::create(path, &lock).map(drop)
}

/// Replaces the manifest of the index at `path` by a changed one, under the lock of the directory.
pub(crate) fn update(path: &Path, change: impl FnOnce(&mut Manifest)) -> Result<()> {
    // Read before the lock is taken, so that no lock file is created in a directory without an index.
    Manifest::read(path)?;
    let lock = DirectoryLock::wait(path)?;
    let (mut manifest, _) = Manifest::read(path)?;
    change(&mut manifest);
    let partial = PartialDirectory::create(path, &lock)?;
    manifest.write(partial.path())?;
    let (name, to) = (IndexFile::MANIFEST.name(), path.join(IndexFile::MANIFEST.name()));
    std::fs::rename(partial.path().join(name), &to).map_err(io_at(&to))?;
    sync_directory(path)
}
