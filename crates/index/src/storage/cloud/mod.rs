//! Objects of a store as the files of an index: S3, Google Cloud Storage, Azure, or a shared folder.
//!
//! | file | place |
//! |---|---|
//! | incomplete (of a hidden name), nameless, or a lock | local, in the folder that the cache has for the URL |
//! | complete | an object `PREFIX/NAME`, which is created once and never replaced; and its copy in the cache |
//!
//! # Commits
//!
//! A file gets its name by a conditional put, which fails if the object exists. So of two writers of the same
//! generation, one gets the manifest. The other one fails, and has changed nothing that a reader sees: numbers of files
//! go on after the highest in the store, so no writer ever touches the objects of another. The lock, which is local,
//! only keeps writers of one machine from working in vain.
//!
//! # Deletions
//!
//! A writer does not see which objects are read elsewhere, or were uploaded by a writer that has not committed yet. So
//! objects stay for [`GRACE`] after they were written, and objects of an earlier generation as long after the manifest
//! that followed it. A reader copies all files when it opens a generation.

mod copies;
mod objects;
#[cfg(test)]
mod tests;

use super::{Directory, Lock, Storage, StoredFile, Temporary};
use crate::files::{FileKind, IndexFile, PARTIAL_PREFIX};
use bytes::Bytes;
use copies::Copies;
use objects::{Object, Objects};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Age from which objects that no generation needs are deleted: more than an upload, or the opening of a generation,
/// takes.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Downloads at the same time.
const DOWNLOADS: usize = 8;

/// Files of an index in an object store.
#[derive(Debug)]
pub(super) struct Cloud {
    url: String,
    objects: Objects,
    copies: Copies,
    /// Incomplete files, and the lock.
    local: Directory,
    grace: Duration,
    /// Objects by their names, as they were listed last.
    listed: Mutex<BTreeMap<String, Object>>,
    /// Objects that were created here since the last commit.
    created: Mutex<BTreeSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(PARTIAL_PREFIX)
}

/// Opens the storage at a URL.
///
/// # Errors
/// Of the URL, of the settings of its store, or of the cache's folder.
pub(super) fn open(url: &str) -> io::Result<Cloud> {
    let objects = Objects::at(url)?;
    Cloud::new(url, objects, &copies::folder()?, copies::limit()?, GRACE)
}

impl Cloud {
    fn new(url: &str, objects: Objects, cache: &Path, limit: u64, grace: Duration) -> io::Result<Self> {
        let copies = Copies::new(cache, url, limit)?;
        let local = copies.work_folder()?;
        let (listed, created) = (Mutex::default(), Mutex::default());
        Ok(Self { url: url.to_owned(), objects, copies, local: Directory::new(&local), grace, listed, created })
    }

    /// Lists the objects again.
    fn listing(&self) -> io::Result<BTreeMap<String, Object>> {
        let found = self.objects.list()?;
        lock(&self.listed).clone_from(&found);
        Ok(found)
    }

    /// An object, as it was listed last.
    fn object(&self, name: &str) -> io::Result<Object> {
        if let Some(object) = lock(&self.listed).get(name) {
            return Ok(object.clone());
        }
        let object = self.objects.head(name)?;
        lock(&self.listed).insert(name.to_owned(), object.clone());
        Ok(object)
    }

    /// Maps the copy of an object, which is made first if there is none.
    fn copy(&self, name: &str) -> io::Result<Bytes> {
        let object = self.object(name)?;
        self.copies.map(name, &object, |file| self.objects.download(name, &object, file))
    }

    fn is_old(&self, written: SystemTime) -> bool {
        SystemTime::now().duration_since(written).is_ok_and(|age| age >= self.grace)
    }

    /// Uploads a complete file.
    fn upload(&self, from: &str, to: &str) -> io::Result<()> {
        let contents = self.local.map(from)?;
        let is_commit = IndexFile::from_name(to).is_some_and(|file| file.kind == FileKind::Manifest);
        let object = if is_commit {
            // Two manifests are equal only if no other file was written: a file that is named has one writer.
            let object = self.objects.create_or_find(to, contents)?;
            lock(&self.created).clear();
            object
        } else {
            let object = self.objects.create(to, contents)?;
            lock(&self.created).insert(to.to_owned());
            object
        };
        lock(&self.listed).insert(to.to_owned(), object.clone());
        // The file is uploaded: without a copy it is only downloaded once more.
        if let Err(error) = self.copies.adopt(&self.local.path(from), to, &object) {
            tracing::warn!(%error, file = to, "an uploaded file is not kept as a copy");
            let _ = self.local.remove(from);
        }
        Ok(())
    }
}

impl Storage for Cloud {
    fn root(&self) -> PathBuf {
        PathBuf::from(&self.url)
    }

    fn create_root(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn remove_root(&self) {}

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.local.create(name)
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        self.local.append(name)
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        if is_hidden(name) {
            return self.local.map(name);
        }
        match self.copy(name) {
            // It was replaced since it was listed: the index was deleted, and another one built in its place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                lock(&self.listed).remove(name);
                self.copy(name)
            }
            mapped => mapped,
        }
    }

    fn prefetch(&self, names: &[String]) -> io::Result<()> {
        let objects = names.iter().map(|name| Ok((name, self.object(name)?.size))).collect::<io::Result<Vec<_>>>()?;
        self.copies.check_limit(objects.iter().map(|(_, size)| size).sum())?;
        let next = Mutex::new(objects.into_iter());
        let download = || {
            let next = || lock(&next).next();
            std::iter::from_fn(next).try_for_each(|(name, _)| self.map(name).map(drop))
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..DOWNLOADS.min(names.len())).map(|_| scope.spawn(download)).collect();
            let own = [download()];
            threads.into_iter().map(|thread| thread.join().expect("no download panics")).chain(own).collect()
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match (is_hidden(from), is_hidden(to)) {
            (true, true) => self.local.rename(from, to),
            (true, false) => self.upload(from, to),
            (false, _) => Err(io::Error::new(io::ErrorKind::Unsupported, "objects keep their names")),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if is_hidden(name) {
            return self.local.remove(name);
        }
        let is_own = lock(&self.created).remove(name);
        if is_own || self.is_old(self.object(name)?.written) {
            self.objects.delete(name)?;
            lock(&self.listed).remove(name);
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let hidden = self.local.list()?.into_iter().filter(|name| is_hidden(name));
        let mut names: Vec<String> = self.listing()?.into_keys().chain(hidden).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>> {
        self.local.lock(name, wait)
    }

    /// Nothing has to be held: see the module's docs on deletions.
    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        self.object(name)?;
        Ok(Some(Box::new(Free)))
    }

    /// A manifest is claimed once the one that followed it is old.
    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        let manifest = |name: &String| IndexFile::from_name(name).filter(|file| file.kind == FileKind::Manifest);
        let own = manifest(&name.to_owned()).ok_or(io::ErrorKind::InvalidInput)?;
        let objects = lock(&self.listed);
        let is_later = |name: &String| manifest(name).is_some_and(|file| file.number > own.number);
        let next = objects.iter().filter(|(name, _)| is_later(name)).map(|(_, object)| object.written).min();
        Ok(next.filter(|&written| self.is_old(written)).map(|_| Box::new(Free) as Box<dyn Lock>))
    }

    fn holders(&self, _: &str) -> Vec<u32> {
        Vec::new()
    }

    fn temporary(&self) -> io::Result<Box<dyn Temporary>> {
        self.local.temporary()
    }
}

/// A right without a lock.
#[derive(Debug)]
struct Free;

impl Lock for Free {}
