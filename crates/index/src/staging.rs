//! A folder on its way to be an index: from an empty place to complete files and a manifest.
//!
//! In: where the index should go. Out: a hidden folder in that place to write into, then the index.
//!
//! ```text
//! target/                     made here, or an empty folder that is there already and stays the same one
//!   .selvedge.lock            held from the first moment to the last
//!   .selvedge.partial/        every file until all are complete, the manifest written last
//!   codec, codes-0000, ...    moved here one by one; the disk has their names before
//!   manifest                  moves: from then on there is an index
//! ```
//!
//! Readers ask for the manifest first, so the index is there as a whole or not at all. What a dead process leaves
//! behind is removed by the next writer that takes the lock: the hidden folder, and the files that were moved out of it,
//! which are those of length and checksum as its manifest says. A file system entry of anybody else is never touched.

use crate::disk::{FolderLock, PartialFolder, parent_of, sync_directory};
use crate::error::{Error, Result, io_at};
use crate::files::{IndexFile, LOCK_NAME, PARTIAL_NAME};
use crate::framed_file::FramedFile;
use crate::manifest::Manifest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A place where an index is being made. Dropped before it is finished, it leaves the place as it found it.
#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    /// Whether the target was not there before.
    is_new: bool,
    /// None once the index is finished.
    held: Option<Held>,
}

/// What a writer has in the target; dropped in this order.
#[derive(Debug)]
struct Held {
    partial: PartialFolder,
    _lock: FolderLock,
}

impl Staging {
    /// Prepares an index at `path`, where nothing or an empty directory may be.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let is_new = make_directory(path)?;
        let partial = path.join(PARTIAL_NAME);
        // Where there is no trace of a writer, nothing is put among the files of somebody else, not even a lock.
        if fs::symlink_metadata(&partial).is_err() {
            check_empty(path)?;
        }
        let lock = FolderLock::take(path)?;
        undo_moves(path, &partial);
        let held = Held { partial: PartialFolder::create(path, &lock)?, _lock: lock };
        let staging = Self { target: path.to_owned(), is_new, held: Some(held) };
        check_empty(path)?;
        Ok(staging)
    }

    /// Where the index will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The folder for files that are not complete.
    ///
    /// # Panics
    /// After [`Staging::finish`].
    pub(crate) fn path(&self) -> &Path {
        self.held.as_ref().expect("the index is not finished").partial.path()
    }

    /// Moves the files of `manifest` and then the manifest itself into the target, and makes the disk remember it.
    pub(crate) fn finish(mut self, manifest: &Manifest) -> Result<()> {
        check_empty(&self.target)?;
        let move_file = |file: IndexFile| {
            let to = self.target.join(file.name());
            fs::rename(self.path().join(file.name()), &to).map_err(io_at(&to))
        };
        for (file, _) in manifest.files() {
            move_file(file)?;
        }
        if self.is_new {
            sync_directory(&parent_of(&self.target))?;
        }
        sync_directory(&self.target)?;
        move_file(IndexFile::MANIFEST)?;
        sync_directory(&self.target)?;
        self.held = None;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            undo_moves(&self.target, held.partial.path());
            drop(held);
            if self.is_new {
                // Fails, as it should, where somebody has put something into it.
                let _ = fs::remove_dir(&self.target);
            }
        }
    }
}

/// Makes the directory at `path` unless there is one; says whether it was made.
fn make_directory(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match path.is_dir() {
            true => Ok(false),
            false => Err(Error::Exists { path: path.to_owned() }),
        },
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// Checks that a directory holds nothing but what a writer or a file system (`lost+found` of a new volume) has put there.
fn check_empty(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(io_at(directory))? {
        let name = entry.map_err(io_at(directory))?.file_name();
        if ![LOCK_NAME, PARTIAL_NAME, "lost+found"].iter().any(|known| name == *known) {
            return Err(Error::Exists { path: directory.to_owned() });
        }
    }
    Ok(())
}

/// Removes files that a writer which did not finish had moved from `partial` to `target`: the manifest in `partial`,
/// which moves last, says which these are.
fn undo_moves(target: &Path, partial: &Path) {
    // Beside a manifest there is an index, and the one in `partial` is a change of it that was not made.
    if fs::symlink_metadata(target.join(IndexFile::MANIFEST.name())).is_ok() {
        return;
    }
    let Ok((manifest, _)) = Manifest::read(partial) else { return };
    for (file, named) in manifest.files() {
        if FramedFile::open_named(target, file, named).is_ok() {
            let _ = fs::remove_file(target.join(file.name()));
        }
    }
}
