//! Generations of an index, and the one that a reader holds.
//!
//! A commit writes `manifest-<generation>` with the next number; the manifest with the highest number is the index. A
//! reader holds the manifest that it opened (a shared lock, which dies with its process), and keeps all files that
//! this manifest names from being deleted. Writers do not wait for readers, nor readers for writers.

use crate::error::{Error, Result, io_at};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, MAGIC, OLD_VERSION};
use crate::manifest::Manifest;
use crate::staging::FIRST_GENERATION;
use crate::storage::{Lock, Storage, hidden_name, storage_at};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Number of times that a reader looks for the newest generation, and the pause between two of them: it is deleted
/// between the listing and the hold only if a writer has committed another one.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// A generation that is kept as long as this or a clone of it lives.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    /// Length and checksum of the manifest's file.
    pub(crate) manifest_entry: FileEntry,
    _hold: Arc<dyn Lock>,
}

impl Snapshot {
    /// Holds the newest generation in `storage`.
    pub(crate) fn newest(storage: &dyn Storage) -> Result<Self> {
        for _ in 0..TRIES {
            let names = names(storage)?;
            let Some(generation) = generations(&names).max() else { return Err(no_manifest(storage, &names)) };
            let name = IndexFile::manifest(generation).name();
            match storage.hold(&name) {
                Ok(Some(hold)) => match Manifest::read(storage, generation) {
                    Ok((manifest, manifest_entry)) => {
                        return Ok(Self { manifest, manifest_entry, _hold: hold.into() });
                    }
                    // On a file system without locks, a writer may delete it all the same.
                    Err(Error::MissingFile { .. }) => {}
                    Err(error) => return Err(error),
                },
                // A writer that has committed another generation deletes this one.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Io { path: storage.path(&name), source }),
            }
            std::thread::sleep(PAUSE);
        }
        Err(Error::Io { path: storage.root(), source: io::ErrorKind::WouldBlock.into() })
    }
}

/// Whether `storage` has another newest generation than a snapshot.
///
/// It may be a later one, or one of the same number of an index that was built in the place of the snapshot's.
pub(crate) fn is_outdated(storage: &dyn Storage, snapshot: &Snapshot) -> Result<bool> {
    let newest = newest_generation(storage)?;
    if newest != snapshot.manifest.generation {
        return Ok(true);
    }
    match FramedFile::open(storage, IndexFile::manifest(newest)) {
        Ok(file) => Ok(file.entry != snapshot.manifest_entry),
        // A writer has replaced it meanwhile.
        Err(Error::MissingFile { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Number of the newest generation in `storage`.
pub(crate) fn newest_generation(storage: &dyn Storage) -> Result<u32> {
    let names = names(storage)?;
    generations(&names).max().ok_or_else(|| no_manifest(storage, &names))
}

/// Names of all files in `storage`; [`Error::NoIndex`] where it is no directory.
pub(crate) fn names(storage: &dyn Storage) -> Result<Vec<String>> {
    storage.list().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NoIndex { path: storage.root() },
        _ => Error::Io { path: storage.root(), source },
    })
}

/// Generations whose manifests are among `names`.
pub(crate) fn generations(names: &[String]) -> impl Iterator<Item = u32> + '_ {
    let file = |name: &String| IndexFile::from_name(name).filter(|file| file.kind == FileKind::Manifest);
    names.iter().filter_map(file).map(|file| file.number)
}

/// The error of a directory without a manifest.
fn no_manifest(storage: &dyn Storage, names: &[String]) -> Error {
    if names.contains(&IndexFile::manifest(0).old_name()) {
        return Error::OldFormat { path: storage.root(), found: OLD_VERSION };
    }
    // A damaged index has a codec at least. So has one whose first writer is at work, or died; that one has a hidden
    // manifest, too.
    let first = IndexFile::manifest(FIRST_GENERATION).name();
    let is_codec = |name: &String| IndexFile::from_name(name).is_some_and(|file| file.kind == FileKind::Codec);
    match names.iter().any(is_codec) && !names.contains(&hidden_name(&first)) {
        true => Error::NoManifest { path: storage.root() },
        false => Error::NoIndex { path: storage.root() },
    }
}

/// Whether the folder at `path` is an index, of this format or of format 2.
pub fn is_index(path: &Path) -> bool {
    let Ok(storage) = storage_at(path) else { return false };
    let is_manifest = |name: &String| {
        let is_named = *name == IndexFile::manifest(0).old_name()
            || IndexFile::from_name(name).is_some_and(|file| file.kind == FileKind::Manifest);
        is_named && storage.map(name).is_ok_and(|bytes| bytes.starts_with(&MAGIC))
    };
    storage.list().is_ok_and(|names| names.iter().any(is_manifest))
}

/// A generation whose files are on disk.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Generation {
    /// Number of the generation.
    pub generation: u32,
    /// Bytes of all its files; other generations share some of them.
    pub bytes: u64,
    /// Numbers of the processes that hold it, as far as the system tells; this one is among them if it does.
    pub processes: Vec<u32>,
}

/// Generations of the index at `path` whose files are on disk, ascending: the newest, and those that readers hold or
/// held since the last change.
///
/// # Errors
/// [`Error::NoIndex`] where `path` is no directory, an error of a manifest that cannot be read.
pub fn generations_at(path: &Path) -> Result<Vec<Generation>> {
    let storage = storage_at(path)?;
    let names = names(&*storage)?;
    let mut numbers: Vec<u32> = generations(&names).collect();
    numbers.sort_unstable();
    let mut found = Vec::new();
    for generation in numbers {
        let file = IndexFile::manifest(generation);
        match Manifest::read(&*storage, generation) {
            Ok((manifest, manifest_entry)) => {
                let bytes = manifest_entry.bytes + manifest.files().iter().map(|(_, entry)| entry.bytes).sum::<u64>();
                found.push(Generation { generation, bytes, processes: storage.holders(&file.name()) });
            }
            // A writer has deleted it meanwhile.
            Err(Error::MissingFile { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Files that the manifest of a generation names.
fn files_of(storage: &dyn Storage, generation: u32) -> Result<impl Iterator<Item = IndexFile>> {
    Ok(Manifest::read(storage, generation)?.0.files().into_iter().map(|(file, _)| file))
}

/// Claims the manifest of a generation; `None` if a reader holds it.
fn claim(storage: &dyn Storage, manifest: IndexFile) -> Result<Option<Box<dyn Lock>>> {
    storage.claim(&manifest.name()).map_err(io_at(&storage.path(&manifest.name())))
}

/// Deletes the files of the index in `storage` that neither the newest generation names nor one that is held. Other
/// files are left alone. Unless the newest generation `is_durable`, it is made so before those that it replaces go: its
/// writer may have died before.
pub(crate) fn delete_unused(storage: &dyn Storage, is_durable: bool) -> Result<()> {
    let names = names(storage)?;
    let Some(newest) = generations(&names).max() else { return Ok(()) };
    if !is_durable && generations(&names).any(|generation| generation != newest) {
        storage.sync_names().map_err(io_at(&storage.root()))?;
    }
    // Read first: where the newest generation is damaged or of a later version, nothing is deleted.
    let mut used: BTreeSet<IndexFile> = files_of(storage, newest)?.collect();
    for generation in generations(&names).filter(|&generation| generation != newest) {
        let file = IndexFile::manifest(generation);
        // Claimed until it is deleted: no reader gets hold of it in between.
        if let Some(_claim) = claim(storage, file)? {
            let _ = storage.remove(&file.name());
        } else {
            used.extend(files_of(storage, generation)?);
        }
    }
    for name in names {
        let is_unused = match IndexFile::from_name(&name) {
            Some(file) => file.kind != FileKind::Manifest && !used.contains(&file),
            None => IndexFile::is_old_name(&name),
        };
        if is_unused {
            let _ = storage.remove(&name);
        }
    }
    Ok(())
}
