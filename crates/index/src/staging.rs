//! Staging of a new index: files are completed in a hidden directory and then moved into place.
//!
//! In: the target of the index. Out: a hidden directory in it to write into, then the index.
//!
//! ```text
//! target/                     created here, or an existing empty directory, which is kept (it may be a mount point)
//!   .selvedge.lock            held from the first step to the last
//!   .selvedge.partial/        every file until all are complete, the manifest written last
//!   codec, codes-0000, ...    moved here one by one, their names synced to disk
//!   manifest                  moved last: the index exists from this step on
//! ```
//!
//! Readers open the manifest first, so the index is either complete or absent. The next writer that takes the
//! lock deletes the leftovers of a dead process: the hidden directory, and the files that had been moved out
//! of it. It recognizes those by the length and checksum in the manifest of the hidden directory, and touches
//! nothing else.

use crate::disk::{DirectoryLock, PartialDirectory, parent_of, sync_directory};
use crate::error::{Error, Result, io_at};
use crate::files::{IndexFile, LOCK_NAME, PARTIAL_NAME};
use crate::framed_file::FramedFile;
use crate::manifest::Manifest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Index that is being written, and its target. If it is dropped before [`Staging::finish`], the target is left as it
/// was.
#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    /// Whether the target directory was created here.
    is_new: bool,
    /// `None` once the index is finished.
    held: Option<Held>,
}

/// Directory and lock that a writer holds in the target; dropped in this order.
#[derive(Debug)]
struct Held {
    partial: PartialDirectory,
    _lock: DirectoryLock,
}

impl Staging {
    /// Prepares an index at `path`, which must be absent or an empty directory.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let is_new = make_directory(path)?;
        let partial = path.join(PARTIAL_NAME);
        // Without a hidden directory of an earlier writer, foreign files are refused before a lock file is created.
        if fs::symlink_metadata(&partial).is_err() {
            check_empty(path)?;
        }
        let lock = DirectoryLock::take(path)?;
        undo_moves(path, &partial);
        let held = Held { partial: PartialDirectory::create(path, &lock)?, _lock: lock };
        let staging = Self { target: path.to_owned(), is_new, held: Some(held) };
        check_empty(path)?;
        Ok(staging)
    }

    /// Directory of the finished index.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Hidden directory for incomplete files.
    ///
    /// # Panics
    /// After [`Staging::finish`].
    pub(crate) fn path(&self) -> &Path {
        self.held.as_ref().expect("the index is not finished").partial.path()
    }

    /// Moves the files of `manifest`, then the manifest itself, into the target and syncs the directory.
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
                // Fails, as it should, if the directory holds foreign files.
                let _ = fs::remove_dir(&self.target);
            }
        }
    }
}

/// Creates the directory at `path` if it is absent; returns whether it was created.
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

/// Checks that a directory is empty, apart from the lock and the hidden directory of a writer and `lost+found`, which a
/// new volume has.
fn check_empty(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(io_at(directory))? {
        let name = entry.map_err(io_at(directory))?.file_name();
        if ![LOCK_NAME, PARTIAL_NAME, "lost+found"].iter().any(|known| name == *known) {
            return Err(Error::Exists { path: directory.to_owned() });
        }
    }
    Ok(())
}

/// Deletes the files that an unfinished writer had moved from `partial` to `target`. The manifest, which moves last and
/// is still in `partial`, names them.
fn undo_moves(target: &Path, partial: &Path) {
    // With a manifest in place there is an index, and the manifest in `partial` is an unfinished change of it.
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
