//! Staging of a new index: files are completed under hidden names and then given their own.
//!
//! In: the storage of the index. Out: hidden files in it, then the index. The order of all writes, and why each sync is
//! there:
//!
//! | step | why |
//! |---|---|
//! | 1. create the directory, sync its parent | else the whole index could vanish with the directory's name |
//! | 2. take `.selvedge.lock` | one writer at a time; it is held to the last step |
//! | 3. delete what a dead writer left | its hidden files, and the files that it had renamed |
//! | 4. write each file as `.selvedge.partial-NAME`, sync it | a renamed file must be whole |
//! | 5. write the manifest as `.selvedge.partial-manifest`, sync it and the names | step 3 needs it to know renamed files |
//! | 6. rename all files but the manifest, sync the names | the manifest must not be there before them |
//! | 7. rename the manifest, sync the names | the index exists from the rename on, and for good from the sync on |
//!
//! Readers open the manifest first, so the index is either complete or absent. Step 3 recognizes renamed files by the
//! length and the checksum in the hidden manifest, and touches nothing else. The directory may have been there before,
//! empty; then it is kept, as it may be a mount point.

use crate::error::{Error, Result, io_at};
use crate::files::{IndexFile, LOCK_NAME, PARTIAL_PREFIX};
use crate::framed_file::FramedFile;
use crate::manifest::Manifest;
use crate::storage::{Hidden, Lock, Storage};
use std::io;
use std::sync::Arc;

/// Index that is being written, and its storage. If it is dropped before [`Staging::finish`], the storage is left as it
/// was.
#[derive(Debug)]
pub(crate) struct Staging {
    target: Arc<dyn Storage>,
    hidden: Arc<Hidden>,
    /// `hidden` as a storage, for the writers of files.
    files: Arc<dyn Storage>,
    /// Whether the directory was created here.
    is_new: bool,
    /// `None` once the index is finished.
    lock: Option<Box<dyn Lock>>,
}

impl Staging {
    /// Prepares an index in `target`, which must be absent or hold no file.
    pub(crate) fn create(target: Arc<dyn Storage>) -> Result<Self> {
        let root = target.root();
        let is_new = target.create_root().map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: root.clone() },
            _ => Error::Io { path: root.clone(), source },
        })?;
        let names = target.list().map_err(io_at(&root))?;
        // Without hidden files of an earlier writer, foreign files are refused before a lock file is created.
        if !names.iter().any(|name| name.starts_with(PARTIAL_PREFIX)) {
            check_empty(&*target)?;
        }
        let lock = take_lock(&*target, false)?;
        let hidden = Arc::new(Hidden(Arc::clone(&target)));
        let files: Arc<dyn Storage> = hidden.clone();
        let staging = Self { target, hidden, files, is_new, lock: Some(lock) };
        staging.undo();
        check_empty(&*staging.target)?;
        Ok(staging)
    }

    /// Storage of the finished index.
    pub(crate) fn target(&self) -> &Arc<dyn Storage> {
        &self.target
    }

    /// Storage for incomplete files.
    pub(crate) fn hidden(&self) -> &Arc<dyn Storage> {
        &self.files
    }

    /// Renames the files of `manifest`, then the manifest itself, and syncs the names.
    pub(crate) fn finish(mut self, manifest: &Manifest) -> Result<()> {
        check_empty(&*self.target)?;
        let reveal = |file: IndexFile| {
            let name = file.name();
            self.hidden.reveal(&name).map_err(io_at(&self.target.path(&name)))
        };
        sync_names(&*self.target)?;
        for (file, _) in manifest.files() {
            reveal(file)?;
        }
        sync_names(&*self.target)?;
        reveal(IndexFile::MANIFEST)?;
        sync_names(&*self.target)?;
        self.lock = None;
        Ok(())
    }

    /// Deletes the hidden files, and those that an unfinished writer had renamed. The manifest, which is renamed last
    /// and is still hidden, names them.
    fn undo(&self) {
        // With a manifest in place there is an index, and a hidden one is an unfinished change of it.
        if self.target.map(&IndexFile::MANIFEST.name()).is_err()
            && let Ok((manifest, _)) = Manifest::read(&*self.hidden)
        {
            for (file, named) in manifest.files() {
                if FramedFile::open_named(&*self.target, file, named).is_ok() {
                    let _ = self.target.remove(&file.name());
                }
            }
            // Before the hidden manifest goes: the next writer needs it if the names come back.
            let _ = self.target.sync_names();
        }
        let _ = self.hidden.clear();
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            self.undo();
            drop(lock);
            if self.is_new {
                self.target.remove_root();
            }
        }
    }
}

/// Takes the lock of an index; [`Error::Locked`] where another writer, of this process or another, holds it and this
/// one does not wait.
pub(crate) fn take_lock(storage: &dyn Storage, wait: bool) -> Result<Box<dyn Lock>> {
    let path = storage.path(LOCK_NAME);
    let lock = storage.lock(LOCK_NAME, wait).map_err(io_at(&path))?;
    lock.map_err(|holder| Error::Locked { path: storage.root(), holder, lock: path })
}

/// Makes the names of `storage` durable.
pub(crate) fn sync_names(storage: &dyn Storage) -> Result<()> {
    storage.sync_names().map_err(io_at(&storage.root()))
}

/// Checks that a storage has no file, apart from the lock and the hidden files of a writer and `lost+found`, which a
/// new volume has.
fn check_empty(storage: &dyn Storage) -> Result<()> {
    let root = storage.root();
    let is_known = |name: &String| name == LOCK_NAME || name == "lost+found" || name.starts_with(PARTIAL_PREFIX);
    match storage.list().map_err(io_at(&root))?.iter().all(is_known) {
        true => Ok(()),
        false => Err(Error::Exists { path: root }),
    }
}
