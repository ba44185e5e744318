//! Changes of an index that exists: another manifest takes the place of the one before.
//!
//! In: the folder of an index and what to change. Out: the same index with the new manifest. Whoever opens the index
//! meanwhile finds one or the other; of two changes at the same time the second starts from what the first one left.

use crate::disk::{FolderLock, PartialFolder, sync_directory};
use crate::error::{Result, io_at};
use crate::files::IndexFile;
use crate::manifest::Manifest;
use std::path::Path;

/// Puts other search parameters into the manifest of the index at `path`.
///
/// # Errors
/// Where there is no sound manifest, or the folder cannot be written; the index is then as it was.
pub fn write_search(path: &Path, search: serde_json::Value) -> Result<()> {
    update(path, |manifest| manifest.search = Some(search))
}

/// Replaces the manifest of the index at `path` by a changed one, under the lock of the folder.
pub(crate) fn update(path: &Path, change: impl FnOnce(&mut Manifest)) -> Result<()> {
    // A folder that holds no index gets no lock.
    Manifest::read(path)?;
    let lock = FolderLock::wait(path)?;
    let (mut manifest, _) = Manifest::read(path)?;
    change(&mut manifest);
    let partial = PartialFolder::create(path, &lock)?;
    manifest.write(partial.path())?;
    let (name, to) = (IndexFile::MANIFEST.name(), path.join(IndexFile::MANIFEST.name()));
    std::fs::rename(partial.path().join(name), &to).map_err(io_at(&to))?;
    sync_directory(path)
}
