//! File system primitives of an index: durable file names, and a lock so that one writer at a time changes a
//! directory.
//!
//! In: the directory of an index. Out: its lock ([`DirectoryLock`]), and in it a hidden directory for incomplete files
//! ([`PartialDirectory`]). Only the holder of the lock uses the hidden directory, so the next holder may delete its
//! contents.

use crate::error::{Error, Result, io_at};
use crate::files::{LOCK_NAME, PARTIAL_NAME};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Makes the names in `directory` durable (`fsync` of the directory on Unix).
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(directory).and_then(|handle| handle.sync_all()).map_err(io_at(directory))
    } else {
        Ok(())
    }
}

/// Parent directory of `path`; `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Exclusive right to change the contents of a directory, held until dropped.
///
/// It is an exclusive lock (`flock` on Linux) on a hidden file, which is deleted when the lock is dropped. The
/// operating system releases the lock of a process that dies, so a leftover file locks nothing. On a file system
/// without locks the existence of the file is the lock, and the leftover of a dead process must be deleted by hand. Two
/// machines exclude each other where the file system shares its locks, as NFS does unless mounted with `nolock` or
/// `local_lock`.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    path: PathBuf,
    /// Closing the file releases the lock.
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of `folder`; [`Error::Locked`] where another writer, of this process or another, holds it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        Self::acquire(folder, File::try_lock)
    }

    /// Takes the lock of `folder`, blocking until it is free.
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
                // The file system has no locks: creating the file was the lock.
                Err(TryLockError::Error(_)) if is_new => {}
                Err(_) => return Err(Error::Locked { path: folder.to_owned(), lock: path }),
            }
            // The previous holder may have deleted the file after it was opened here; that file locks nothing.
            if is_still_at(&file, &path) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Deleted before the lock is released: the next holder sees that the file is gone and creates another.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens the file, creating it if needed; the flag says whether it was created here.
fn open_or_create(path: &Path) -> io::Result<(File, bool)> {
    loop {
        match File::options().write(true).create_new(true).open(path) {
            Ok(file) => return Ok((file, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match open_existing(path)? {
            Some(file) => return Ok((file, false)),
            None => continue,
        }
    }
}

/// Opens the lock file of another holder; `None` if that holder has deleted it meanwhile. It is never created
/// here: on a file system without locks the new file would lock the directory, and no holder would delete it.
fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match File::options().write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        // A dangling symbolic link exists for `create_new` and is absent for `open`: a retry would never end.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `path` still names the open `file`.
fn is_still_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((file.metadata().map(id), fs::metadata(path).map(id)), (Ok(open), Ok(named)) if open == named)
    }
    #[cfg(not(unix))]
    {
        // Other systems do not delete an open file.
        let _ = (file, path);
        true
    }
}

/// Hidden directory for incomplete files; deleted with its contents when dropped.
#[derive(Debug)]
pub(crate) struct PartialDirectory {
    path: PathBuf,
}

impl PartialDirectory {
    /// Creates the directory, empty, in `folder`. The lock proves that an existing one is unused.
    pub(crate) fn create(folder: &Path, _lock: &DirectoryLock) -> Result<Self> {
        let path = folder.join(PARTIAL_NAME);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::Io { path, source }),
            _ => {}
        }
        fs::create_dir(&path).map_err(io_at(&path))?;
        Ok(Self { path })
    }

    /// Path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PartialDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the lock as on a file system without locks.
    fn take_without_locks(folder: &Path) -> Result<DirectoryLock> {
        let unsupported = |_: &File| Err(TryLockError::Error(io::ErrorKind::Unsupported.into()));
        DirectoryLock::acquire(folder, unsupported)
    }

    #[test]
    fn without_locks_the_file_is_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let first = take_without_locks(directory.path()).unwrap();
        let error = take_without_locks(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(first);
        drop(take_without_locks(directory.path()).unwrap());
        assert!(!directory.path().join(LOCK_NAME).exists());
    }

    #[test]
    fn a_file_that_its_holder_deletes_is_not_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK_NAME);
        assert!(open_existing(&path).unwrap().is_none());
        assert!(!path.exists(), "nobody would own the file");
        fs::write(&path, "").unwrap();
        assert!(open_existing(&path).unwrap().is_some());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_nothing_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join(LOCK_NAME)).unwrap();
        let error = DirectoryLock::take(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
