//! Changes to an existing index: a new manifest replaces the old one.
//!
//! In: the storage of an index and a change. Out: the same index with the new manifest, which is written under a hidden
//! name, synced, and renamed. A process that opens the index meanwhile reads the old manifest or the new one.
//! Concurrent changes run one after the other.

use crate::error::{Result, io_at};
use crate::files::IndexFile;
use crate::manifest::Manifest;
use crate::staging::{sync_names, take_lock};
use crate::storage::{Directory, Hidden, Storage};
use std::path::Path;
use std::sync::Arc;

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
    let storage = Arc::new(Directory::new(path));
    update(storage, |manifest| manifest.search = Some(change(manifest.search.as_ref())))
}

/// Checks that the index at `path` can be changed, and leaves it as it is.
///
/// # Errors
/// As [`write_search`].
pub fn check_writable(path: &Path) -> Result<()> {
    let storage = Directory::new(path);
    Manifest::read(&storage)?;
    take_lock(&storage, true).map(drop)
}

/// Replaces the manifest of the index in `storage` by a changed one, under the lock of the storage.
pub(crate) fn update(storage: Arc<dyn Storage>, change: impl FnOnce(&mut Manifest)) -> Result<()> {
    // Read before the lock is taken, so that no lock file is created in a directory without an index.
    Manifest::read(&*storage)?;
    let _lock = take_lock(&*storage, true)?;
    let (mut manifest, _) = Manifest::read(&*storage)?;
    change(&mut manifest);
    let hidden = Hidden(Arc::clone(&storage));
    hidden.clear().map_err(io_at(&storage.root()))?;
    let name = IndexFile::MANIFEST.name();
    let written = manifest.write(&hidden).and_then(|()| hidden.reveal(&name).map_err(io_at(&storage.path(&name))));
    if written.is_err() {
        let _ = hidden.clear();
    }
    written?;
    sync_names(&*storage)
}
