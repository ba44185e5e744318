//! Files in memory.

use super::{Lock, Storage, StoredFile, Temporary, this_process};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Contents of a file, shared by its name and its open handles.
type Contents = Arc<Mutex<Vec<u8>>>;

/// A storage in memory, which lasts as long as its handles. Clones share the files.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Contents>>,
    locks: Mutex<BTreeSet<String>>,
    released: Condvar,
    holds: Mutex<BTreeMap<String, Holds>>,
}

/// Rights to one file.
#[derive(Debug, Default)]
struct Holds {
    num_holders: usize,
    is_claimed: bool,
}

/// Locks a mutex whose data cannot be left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {name} in memory"))
}

impl Memory {
    /// A storage without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a hold of a file, or the claim to it; `None` where another right excludes it.
    fn right(&self, name: &str, is_claim: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let files = lock(&self.0.files);
        if !files.contains_key(name) {
            return Err(not_found(name));
        }
        let mut all = lock(&self.0.holds);
        let holds = all.entry(name.to_owned()).or_default();
        if holds.is_claimed || is_claim && holds.num_holders > 0 {
            return Ok(None);
        }
        holds.num_holders += usize::from(!is_claim);
        holds.is_claimed = is_claim;
        Ok(Some(Box::new(MemoryHold { shared: Arc::clone(&self.0), name: name.to_owned(), is_claim })))
    }

    /// Stores a file whole, or replaces it.
    pub fn insert(&self, name: &str, contents: Vec<u8>) {
        lock(&self.0.files).insert(name.to_owned(), Arc::new(Mutex::new(contents)));
    }
}

impl Storage for Memory {
    fn root(&self) -> PathBuf {
        PathBuf::from("(memory)")
    }

    fn create_root(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn remove_root(&self) {}

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let mut files = lock(&self.0.files);
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let contents = files.entry(name.to_owned()).or_default();
        Ok(Box::new(MemoryFile(Arc::clone(contents))))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(MemoryFile(Arc::clone(lock(&self.0.files).entry(name.to_owned()).or_default()))))
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        let contents = lock(&self.0.files).get(name).map(Arc::clone).ok_or_else(|| not_found(name))?;
        let bytes = lock(&contents).clone();
        Ok(Bytes::from(bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.0.files);
        let contents = files.remove(from).ok_or_else(|| not_found(from))?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.0.files).remove(name).map(drop).ok_or_else(|| not_found(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.0.files).keys().cloned().collect())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>> {
        let mut locks = lock(&self.0.locks);
        while !locks.insert(name.to_owned()) {
            if !wait {
                return Ok(Err(this_process()));
            }
            locks = self.0.released.wait(locks).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(Ok(Box::new(MemoryLock { shared: Arc::clone(&self.0), name: name.to_owned() })))
    }

    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.right(name, false)
    }

    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.right(name, true)
    }

    fn holders(&self, name: &str) -> Vec<u32> {
        lock(&self.0.holds).get(name).map_or(Vec::new(), |holds| vec![std::process::id(); holds.num_holders])
    }

    fn temporary(&self) -> io::Result<Box<dyn Temporary>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }
}

#[derive(Debug)]
struct MemoryFile(Contents);

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StoredFile for MemoryFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut contents = lock(&self.0);
        let at = usize::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        let old = contents.get_mut(at..at.saturating_add(bytes.len())).ok_or(io::ErrorKind::InvalidInput)?;
        old.copy_from_slice(bytes);
        Ok(())
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLock {
    shared: Arc<Shared>,
    name: String,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        lock(&self.shared.locks).remove(&self.name);
        self.shared.released.notify_all();
    }
}

#[derive(Debug)]
struct MemoryHold {
    shared: Arc<Shared>,
    name: String,
    is_claim: bool,
}

impl Lock for MemoryHold {}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        let mut all = lock(&self.shared.holds);
        if let Some(holds) = all.get_mut(&self.name) {
            holds.num_holders -= usize::from(!self.is_claim);
            holds.is_claimed &= !self.is_claim;
            if holds.num_holders == 0 && !holds.is_claimed {
                all.remove(&self.name);
            }
        }
    }
}
