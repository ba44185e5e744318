//! The file system as an index needs it: names that survive a power cut, and a folder that one writer at a time changes.
//!
//! In: the folder of an index. Out: its lock ([`FolderLock`]), and inside it a hidden folder for files that are not
//! complete ([`PartialFolder`]). Only the holder of the lock may use that hidden folder, so whatever the next holder
//! finds there belongs to nobody.

use crate::error::{Error, Result, io_at};
use crate::files::{LOCK_NAME, PARTIAL_NAME};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Waits until the disk has the names in `directory`.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(directory).and_then(|handle| handle.sync_all()).map_err(io_at(directory))
    } else {
        Ok(())
    }
}

/// The directory that holds `path`.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The right to change the contents of a folder, held until it is dropped.
///
/// It is an exclusive lock (`flock` on Linux) on a hidden file, which is removed with it. The operating system releases
/// the lock of a process that dies, however it dies, so a file that is left behind locks nothing. Where the file system
/// has no locks, the existence of the file is the lock, and one that a dead process left must be removed by hand. Two
/// machines exclude each other where the file system shares its locks, as NFS does unless mounted with `nolock` or
/// `local_lock`.
#[derive(Debug)]
pub(crate) struct FolderLock {
    path: PathBuf,
    /// Closing the file releases the lock.
    _file: File,
}

impl FolderLock {
    /// Takes the lock of `folder`; an error where another process, or another writer of this one, holds it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        Self::acquire(folder, File::try_lock)
    }

    /// Takes the lock of `folder` as soon as it is free.
    pub(crate) fn wait(folder: &Path) -> Result<Self> {
        Self::acquire(folder, |file| file.lock().map_err(TryLockError::Error))
    }

    fn acquire(folder: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Self> {
        let path = folder.join(LOCK_NAME);
        loop {
            let (file, is_new) = open_or_create(&path).map_err(io_at(&path))?;
            match lock(&file) {
                Ok(()) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A file system without locks.
                Err(TryLockError::Error(_)) if is_new => {}
                Err(_) => return Err(Error::Locked { path: folder.to_owned(), lock: path }),
            }
            // The holder before may have removed the file after it was opened here: that file locks nothing.
            if is_still_at(&file, &path) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Before the lock is released: whoever gets it next sees that the file is gone, and makes another.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens the file, and says whether it was not there before.
fn open_or_create(path: &Path) -> io::Result<(File, bool)> {
    match File::options().write(true).create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok((File::options().write(true).create(true).truncate(false).open(path)?, false))
        }
        Err(error) => Err(error),
    }
}

/// Whether `path` names the open file.
fn is_still_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((file.metadata().map(id), fs::metadata(path).map(id)), (Ok(open), Ok(named)) if open == named)
    }
    #[cfg(not(unix))]
    {
        // An open file keeps its name there.
        let _ = (file, path);
        true
    }
}

/// A hidden folder for files that are not complete; removed, with what is still in it, when it is dropped.
#[derive(Debug)]
pub(crate) struct PartialFolder {
    path: PathBuf,
}

impl PartialFolder {
    /// Makes the folder inside `folder`, empty. The lock says that nobody uses the one that may be there.
    pub(crate) fn create(folder: &Path, _lock: &FolderLock) -> Result<Self> {
        let path = folder.join(PARTIAL_NAME);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::Io { path, source }),
            _ => {}
        }
        fs::create_dir(&path).map_err(io_at(&path))?;
        Ok(Self { path })
    }

    /// The path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
