//! The one door to storage: every file of an index is created, mapped, moved and deleted through [`Storage`].
//!
//! A storage is a flat directory of named files. Four implementations: [`Directory`] (a directory of the file system),
//! [`Memory`] (for indexes that need not survive the process, and for tests), `Cloud` (an object store, by the feature
//! `cloud`, at the URLs that [`storage_at`] takes), and `Faulty` (for tests only, in other crates by the feature
//! `faults`: a disk that loses power, or fails, at any operation that the test names).
//!
//! What a writer may rely on, and no more:
//!
//! | after | survives a loss of power |
//! |---|---|
//! | [`StoredFile::close`] | the bytes written to the file; not its name |
//! | [`Storage::sync_names`] | every name created, moved or deleted before |
//! | [`Storage::rename`] | the old name or the new one, never neither; which one, only `sync_names` decides |
//! | anything else | unknown: bytes may be kept, lost, torn or zero, and names kept or lost in any order |

#[cfg(feature = "objects")]
mod cloud;
mod directory;
#[cfg(any(test, feature = "faults"))]
mod faulty;
mod hidden;
mod memory;
mod records;
#[cfg(test)]
mod tests;

pub use directory::Directory;
#[cfg(test)]
pub(crate) use faulty::mix;
#[cfg(any(test, feature = "faults"))]
pub use faulty::{Faulty, Plan, Survival};
pub(crate) use hidden::{Hidden, hidden_name};
pub use memory::Memory;
pub use records::put_new;

use crate::error::{Result, io_at};
use bytes::Bytes;
use std::fmt;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The storage at a path: a directory, or the objects at a URL such as `s3://bucket/index`, with the feature `objects`
/// or `cloud` of this crate.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where a URL has no store, the settings of the store are wrong, or copies of files
/// have no folder.
pub fn storage_at(path: &Path) -> Result<Arc<dyn Storage>> {
    match path.to_str().filter(|text| is_url(text)) {
        None => Ok(Arc::new(Directory::new(path))),
        Some(url) => objects_at(url).map_err(io_at(path)),
    }
}

/// Whether a text begins with a scheme: a letter, then letters, digits, `+`, `-` and `.` (RFC 3986).
fn is_url(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

#[cfg(feature = "objects")]
fn objects_at(url: &str) -> io::Result<Arc<dyn Storage>> {
    Ok(Arc::new(cloud::open(url)?))
}

#[cfg(not(feature = "objects"))]
fn objects_at(_: &str) -> io::Result<Arc<dyn Storage>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this build opens no URLs: it lacks the feature `cloud`"))
}

/// A flat directory of named files. Clones of a handle are not needed: it is shared by `Arc`.
///
/// Every operation fails with the error of the operating system, or one of the same [`io::ErrorKind`].
pub trait Storage: fmt::Debug + Send + Sync {
    /// Path of the directory.
    fn root(&self) -> PathBuf;

    /// Path of a file, for messages.
    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Creates the directory if it is absent, and makes its name durable; returns whether it was absent.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if its path is that of a file, or an error of the file system.
    fn create_root(&self) -> io::Result<bool>;

    /// Deletes the directory if it holds no file, and keeps it otherwise.
    fn remove_root(&self);

    /// Creates a file, empty; fails if the name exists.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or an error of the file system.
    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>>;

    /// Opens a file to write after its end; creates it if it is absent.
    ///
    /// # Errors
    /// Of the file system.
    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>>;

    /// Maps a file whose contents never change again. The bytes stay readable after the file is deleted.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::InvalidInput`] if it is no regular file, or of the file system.
    fn map(&self, name: &str) -> io::Result<Bytes>;

    /// Prepares files that will be mapped, all at once where that takes less time.
    ///
    /// # Errors
    /// As [`Storage::map`], or [`io::ErrorKind::StorageFull`].
    fn prefetch(&self, names: &[String]) -> io::Result<()> {
        let _ = names;
        Ok(())
    }

    /// Gives a file another name, and replaces the file that has it, in one step. An object store does not replace the
    /// file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::AlreadyExists`] in an object store, or an error of the file
    /// system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a name. Maps of the file keep its bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or an error of the file system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Names of all files, in ascending order.
    ///
    /// # Errors
    /// Of the file system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes names durable that were created, moved or deleted before.
    ///
    /// # Errors
    /// Of the file system.
    fn sync_names(&self) -> io::Result<()>;

    /// Makes durable what was written to `files`, and all names: [`StoredFile::close`] of each file, and
    /// [`Storage::sync_names`], in any order.
    ///
    /// # Errors
    /// Of the file system.
    fn sync_all(&self, files: Vec<Box<dyn StoredFile>>) -> io::Result<()> {
        files.into_iter().try_for_each(StoredFile::close)?;
        self.sync_names()
    }

    /// Takes the exclusive lock of the file `name`, which is created, or waits until it is free. A lock is released
    /// when it is dropped or its process dies. Where it is held and the caller does not wait, the inner error is the
    /// holder's name, which the file contains: a process and its program.
    ///
    /// # Errors
    /// Of the file system.
    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>>;

    /// Holds an existing file: [`Storage::claim`] does not get it until the hold is dropped or its process dies. Any
    /// number of holders share it, of this process and of others. `None` where it is claimed.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or an error of the file system.
    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>>;

    /// Claims an existing file, to delete it; `None` where it is held.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or an error of the file system.
    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>>;

    /// Numbers of the processes that hold a file, as far as the system tells: empty where it does not.
    fn holders(&self, name: &str) -> Vec<u32>;

    /// Creates a file without a name, which is gone when it is dropped or its process dies.
    ///
    /// # Errors
    /// Of the file system.
    fn temporary(&self) -> io::Result<Box<dyn Temporary>>;
}

/// An open file of a [`Storage`], written from its start to its end.
pub trait StoredFile: Write + Send {
    /// Overwrites bytes that were written before.
    ///
    /// # Errors
    /// Of the file system.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Closes the file, and makes durable what was written to it.
    ///
    /// # Errors
    /// Of the file system.
    fn close(self: Box<Self>) -> io::Result<()>;
}

/// Name of this process as the holder of a lock: its number and its program.
fn this_process() -> String {
    let program = std::env::current_exe().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    format!("process {} ({})", std::process::id(), program.as_deref().unwrap_or("unknown program"))
}

/// Right to a file, held until dropped.
pub trait Lock: fmt::Debug + Send + Sync {
    /// Whether the right is still valid.
    ///
    /// It is not if the file of an exclusive lock was deleted, so that another holder may have got one.
    fn is_valid(&self) -> bool {
        true
    }
}

/// A nameless file to write and read again.
pub trait Temporary: Read + Write + Seek + fmt::Debug + Send {}

impl<T: Read + Write + Seek + fmt::Debug + Send> Temporary for T {}
