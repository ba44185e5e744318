//! Incomplete files: a storage under hidden names.

use super::{Lock, Storage, StoredFile, Temporary};
use crate::files::PARTIAL_PREFIX;
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Another storage, whose files have hidden names until [`Hidden::reveal`] gives them their own. Only the holder of the
/// storage's lock uses it, so the next holder may delete what it finds.
#[derive(Debug)]
pub(crate) struct Hidden(pub(crate) Arc<dyn Storage>);

/// Name of a file while it is incomplete.
fn hidden(name: &str) -> String {
    format!("{PARTIAL_PREFIX}{name}")
}

impl Hidden {
    /// Gives a complete file its own name, and replaces the file that has it.
    pub(crate) fn reveal(&self, name: &str) -> io::Result<()> {
        self.0.rename(&hidden(name), name)
    }

    /// Deletes all incomplete files.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.list()?.iter().try_for_each(|name| self.remove(name))
    }
}

impl Storage for Hidden {
    fn root(&self) -> PathBuf {
        self.0.root()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(&hidden(name))
    }

    fn create_root(&self) -> io::Result<bool> {
        self.0.create_root()
    }

    fn remove_root(&self) {
        self.0.remove_root();
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.0.create(&hidden(name))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.0.append(&hidden(name))
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        self.0.map(&hidden(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&hidden(from), &hidden(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(&hidden(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = self.0.list()?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(PARTIAL_PREFIX)).map(str::to_owned).collect())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }

    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>> {
        self.0.lock(&hidden(name), wait)
    }

    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.0.hold(&hidden(name))
    }

    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.0.claim(&hidden(name))
    }

    fn holders(&self, name: &str) -> Vec<u32> {
        self.0.holders(&hidden(name))
    }

    fn temporary(&self) -> io::Result<Box<dyn Temporary>> {
        self.0.temporary()
    }
}
