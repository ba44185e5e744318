//! Incomplete files: a storage under hidden names, whose files become durable together.

use super::{Lock, Storage, StoredFile, Temporary};
use crate::files::PARTIAL_PREFIX;
use bytes::Bytes;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Number of files that are closed and not durable yet, beyond which they are synced: each is an open file.
const MAX_CLOSED: usize = 64;

/// Files that are closed, and not durable yet.
type Closed = Arc<Mutex<Vec<Box<dyn StoredFile>>>>;

/// Another storage, whose files have hidden names until [`Hidden::reveal`] gives them their own. Only the holder of the
/// storage's lock uses it, so the next holder may delete what it finds.
///
/// A closed file becomes durable by [`Hidden::sync_closed`], with all others.
pub(crate) struct Hidden {
    target: Arc<dyn Storage>,
    closed: Closed,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hidden").field(&self.target).finish()
    }
}

fn lock(closed: &Closed) -> MutexGuard<'_, Vec<Box<dyn StoredFile>>> {
    closed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Name of a file while it is incomplete.
pub(crate) fn hidden_name(name: &str) -> String {
    format!("{PARTIAL_PREFIX}{name}")
}

impl Hidden {
    pub(crate) fn new(target: Arc<dyn Storage>) -> Self {
        Self { target, closed: Closed::default() }
    }

    /// Makes all closed files durable, and all names of the storage.
    pub(crate) fn sync_closed(&self) -> io::Result<()> {
        let closed = std::mem::take(&mut *lock(&self.closed));
        self.target.sync_all(closed)
    }

    #[cfg(test)]
    pub(super) fn num_closed(&self) -> usize {
        lock(&self.closed).len()
    }

    /// Syncs the closed files if they are many, before another one is opened.
    fn hide(&self, open: impl FnOnce() -> io::Result<Box<dyn StoredFile>>) -> io::Result<Box<dyn StoredFile>> {
        if lock(&self.closed).len() >= MAX_CLOSED {
            self.sync_closed()?;
        }
        Ok(Box::new(HiddenFile { file: open()?, closed: Arc::clone(&self.closed) }))
    }

    /// Gives a complete file its own name, and replaces the file that has it.
    pub(crate) fn reveal(&self, name: &str) -> io::Result<()> {
        self.target.rename(&hidden_name(name), name)
    }

    /// Deletes all incomplete files.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.list()?.iter().try_for_each(|name| self.remove(name))
    }
}

impl Storage for Hidden {
    fn root(&self) -> PathBuf {
        self.target.root()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.target.path(&hidden_name(name))
    }

    fn create_root(&self) -> io::Result<bool> {
        self.target.create_root()
    }

    fn remove_root(&self) {
        self.target.remove_root();
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.hide(|| self.target.create(&hidden_name(name)))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.hide(|| self.target.append(&hidden_name(name)))
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        self.target.map(&hidden_name(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.target.rename(&hidden_name(from), &hidden_name(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.target.remove(&hidden_name(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = self.target.list()?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(PARTIAL_PREFIX)).map(str::to_owned).collect())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.target.sync_names()
    }

    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>> {
        self.target.lock(&hidden_name(name), wait)
    }

    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.target.hold(&hidden_name(name))
    }

    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.target.claim(&hidden_name(name))
    }

    fn holders(&self, name: &str) -> Vec<u32> {
        self.target.holders(&hidden_name(name))
    }

    fn temporary(&self) -> io::Result<Box<dyn Temporary>> {
        self.target.temporary()
    }
}

struct HiddenFile {
    file: Box<dyn StoredFile>,
    closed: Closed,
}

impl Write for HiddenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoredFile for HiddenFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(at, bytes)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        lock(&self.closed).push(self.file);
        Ok(())
    }
}
