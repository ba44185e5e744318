//! Staging of a change: files are completed under hidden names and then given their own.
//!
//! In: the storage of the index. Out: hidden files in it, then another generation of the index. The order of all
//! writes, and why each sync is there:
//!
//! | step | why |
//! |---|---|
//! | 1. of a new index: create the directory, sync its parent | else the whole index could vanish with the directory's name |
//! | 2. take `.selvedge.lock` | one writer at a time; it is held to the last step |
//! | 3. delete what a dead writer left | its hidden files, and the files that it had renamed |
//! | 4. write each file as `.selvedge.partial-NAME`, the manifest last | a failure before step 6 leaves hidden files only |
//! | 5. of a new index: sync all files and the names | step 3 needs the hidden manifest to know files that were renamed |
//! | 6. rename all files but the manifest | until step 8 no manifest names them, so that nothing reads them |
//! | 7. sync all files, the manifest and the names, at once | the manifest must not be there before them, whole |
//! | 8. rename the manifest, sync the names | the generation exists from the rename on, and for good from the sync on |
//! | 9. delete the files of earlier generations that no reader holds | nothing needs them; after a crash the next writer does it |
//!
//! A commit waits for the disk twice, whatever it writes: the syncs of step 7 run at the same time, so that a file
//! system with a journal commits it about once for all of them.
//!
//! Readers open the manifest of the highest generation, so they see a change whole or not at all. In an existing
//! index, step 3 deletes every file that no manifest names. In an unfinished new one, it recognizes renamed files by
//! the length and the checksum in the hidden manifest, and touches nothing else. The directory may have been there
//! before, empty; then it is kept, as it may be a mount point.

use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile, LOCK_NAME, PARTIAL_PREFIX};
use crate::framed_file::FramedFile;
use crate::manifest::{LAST_NUMBER, Manifest};
use crate::snapshot;
use crate::storage::{Hidden, Lock, Storage};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Generation of a new index.
pub(crate) const FIRST_GENERATION: u32 = 1;

/// A change that is being written, and the storage of its index. If it is dropped before [`Staging::finish`], the index
/// is left as it was.
#[derive(Debug)]
pub(crate) struct Staging {
    target: Arc<dyn Storage>,
    hidden: Arc<Hidden>,
    /// `hidden` as a storage, for the writers of files.
    files: Arc<dyn Storage>,
    /// Whether there was no index before.
    is_first: bool,
    /// Whether the directory was created here.
    is_new_directory: bool,
    /// `None` once the change is finished.
    lock: Option<Box<dyn Lock>>,
}

impl Staging {
    /// Prepares an index in `target`, which must be absent or hold no file.
    pub(crate) fn create(target: Arc<dyn Storage>) -> Result<Self> {
        let root = target.root();
        let is_new_directory = target.create_root().map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: root.clone() },
            _ => Error::Io { path: root.clone(), source },
        })?;
        let names = target.list().map_err(io_at(&root))?;
        // Without hidden files of an earlier writer, foreign files are refused before a lock file is created.
        if !names.iter().any(|name| name.starts_with(PARTIAL_PREFIX)) {
            check_empty(&*target)?;
        }
        let lock = take_lock(&*target, false)?;
        let staging = Self::new(target, true, is_new_directory, lock);
        staging.undo();
        check_empty(&*staging.target)?;
        Ok(staging)
    }

    /// Prepares a change of the index in `target`, and deletes what dead writers left there. Where another writer is at
    /// work, waits for its end or fails.
    pub(crate) fn open(target: Arc<dyn Storage>, wait: bool) -> Result<Self> {
        // Before the lock is taken, so that no lock file is created in a directory without an index.
        snapshot::newest_generation(&*target)?;
        let lock = take_lock(&*target, wait)?;
        let staging = Self::new(target, false, false, lock);
        staging.hidden.clear().map_err(io_at(&staging.target.root()))?;
        snapshot::delete_unused(&*staging.target, false)?;
        Ok(staging)
    }

    /// Prepares the conversion of the index of format 2 in `target`; `None` if it is of the present format.
    pub(crate) fn open_old(target: Arc<dyn Storage>) -> Result<Option<Self>> {
        let is_old = || match snapshot::newest_generation(&*target) {
            Ok(_) => Ok(false),
            Err(Error::OldFormat { .. }) => Ok(true),
            Err(error) => Err(error),
        };
        if !is_old()? {
            return Ok(None);
        }
        let lock = take_lock(&*target, false)?;
        // Another process may have converted it before the lock was taken.
        if !is_old()? {
            return Ok(None);
        }
        let staging = Self::new(target, false, false, lock);
        staging.hidden.clear().map_err(io_at(&staging.target.root()))?;
        Ok(Some(staging))
    }

    fn new(target: Arc<dyn Storage>, is_first: bool, is_new_directory: bool, lock: Box<dyn Lock>) -> Self {
        let hidden = Arc::new(Hidden::new(Arc::clone(&target)));
        let files: Arc<dyn Storage> = hidden.clone();
        Self { target, hidden, files, is_first, is_new_directory, lock: Some(lock) }
    }

    /// Storage of the index.
    pub(crate) fn target(&self) -> &Arc<dyn Storage> {
        &self.target
    }

    /// Storage for incomplete files.
    pub(crate) fn hidden(&self) -> &Arc<dyn Storage> {
        &self.files
    }

    /// Least number of new files, at least `next`: in an object store, other writers may have used some already.
    pub(crate) fn next_number(&self, next: u32) -> Result<u32> {
        let is_of_writer = |file: &IndexFile| file.kind != FileKind::Manifest && file.number < LAST_NUMBER;
        let files = snapshot::names(&*self.target)?.into_iter().filter_map(|name| IndexFile::from_name(&name));
        Ok(files.filter(is_of_writer).map(|file| file.number + 1).fold(next, u32::max))
    }

    /// Writes the manifest and makes it the newest generation.
    pub(crate) fn finish(mut self, manifest: &Manifest) -> Result<()> {
        let target = Arc::clone(&self.target);
        self.check_lock()?;
        manifest.write(&*self.files)?;
        let sync_all = || self.hidden.sync_closed().map_err(io_at(&target.root()));
        if self.is_first {
            check_empty(&*target)?;
            sync_all()?;
        }
        let reveal = |file: IndexFile| {
            let name = file.name();
            self.hidden.reveal(&name).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Conflict { path: target.path(&name) },
                _ => Error::Io { path: target.path(&name), source },
            })
        };
        let hidden: BTreeSet<String> = self.hidden.list().map_err(io_at(&target.root()))?.into_iter().collect();
        for (file, _) in manifest.files().into_iter().filter(|(file, _)| hidden.contains(&file.name())) {
            reveal(file)?;
        }
        sync_all()?;
        self.check_lock()?;
        reveal(manifest.file())?;
        sync_names(&*target)?;
        if let Err(error) = snapshot::delete_unused(&*target, true) {
            tracing::warn!(%error, "files of earlier generations are left to the next change");
        }
        self.lock = None;
        Ok(())
    }

    /// Checks that the lock is still valid: the directory may have been deleted, and another index built in its place.
    fn check_lock(&self) -> Result<()> {
        match self.lock.as_ref().is_some_and(|lock| lock.is_valid()) {
            true => Ok(()),
            false => Err(Error::LockLost { path: self.target.root(), lock: self.target.path(LOCK_NAME) }),
        }
    }

    /// Deletes the hidden files, and those that an unfinished writer had renamed.
    fn undo(&self) {
        match snapshot::newest_generation(&*self.target) {
            Ok(_) => {
                // The last sync may have failed, after which readers see the newest generation.
                let synced = self.target.sync_names();
                let _ = synced.map(|()| snapshot::delete_unused(&*self.target, true));
            }
            // Files that were renamed beside the files of format 2 are replaced by the next conversion.
            Err(Error::OldFormat { .. }) => {}
            Err(_) => self.undo_first(),
        }
        let _ = self.hidden.clear();
    }

    /// Deletes the renamed files of a new index. Its manifest, which is renamed last and is still hidden, names them.
    fn undo_first(&self) {
        let Ok((manifest, _)) = Manifest::read(&*self.hidden, FIRST_GENERATION) else { return };
        for (file, named) in manifest.files() {
            if FramedFile::open_named(&*self.target, file, named).is_ok() {
                let _ = self.target.remove(&file.name());
            }
        }
        // Before the hidden manifest goes: the next writer needs it if the names come back.
        let _ = self.target.sync_names();
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take().filter(|lock| lock.is_valid()) {
            self.undo();
            drop(lock);
            if self.is_new_directory {
                self.target.remove_root();
            }
        }
    }
}

/// Takes the lock of an index; [`Error::Locked`] where another writer, of this process or another, holds it and this
/// one does not wait.
fn take_lock(storage: &dyn Storage, wait: bool) -> Result<Box<dyn Lock>> {
    let path = storage.path(LOCK_NAME);
    let lock = storage.lock(LOCK_NAME, wait).map_err(io_at(&path))?;
    lock.map_err(|holder| Error::Locked { path: storage.root(), holder, lock: path })
}

/// Makes the names of `storage` durable.
fn sync_names(storage: &dyn Storage) -> Result<()> {
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
