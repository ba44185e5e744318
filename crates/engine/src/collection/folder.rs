//! Walk over the files of a folder.
//!
//! Files are sorted by path. Hidden files, files that `.gitignore` and `.ignore` name, and index folders are skipped.
//! Links are followed. A linked folder is read once, under its real path if the walk reaches it without a link, else
//! under the first link by path. A loop of links therefore ends.

use super::{ReadOptions, Skipped};
use crate::lines::check_id;
use crate::{Error, Result};
use ignore::overrides::{Override, OverrideBuilder};
use ignore::{DirEntry, WalkBuilder};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of the collection.
pub(crate) struct FoundFile {
    pub(crate) path: PathBuf,
    /// Size and time when the folder was listed.
    pub(crate) stamp: Stamp,
    /// Path within the folder, with `/` between names.
    pub(crate) id: String,
    /// Separator between the id and the number of a part: `#`, or `/#` if another file is named like a part. No file's
    /// id begins with another file's id and a `/`, so `/#` is always unambiguous.
    pub(crate) mark: &'static str,
}

/// Size and time of a file, which tell that it has changed without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Size in bytes.
    pub(crate) size: u64,
    /// Time of the last change in nanoseconds from 1970 on; 0 if it is unknown.
    pub(crate) modified: i64,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().map_or(0, Self::nanoseconds) }
    }

    /// Nanoseconds from 1970 on; 0 for a time that is centuries away.
    pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
        let nanoseconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()),
            Err(before) => i64::try_from(before.duration().as_nanos()).map(|nanoseconds| -nanoseconds),
        };
        nanoseconds.unwrap_or(0)
    }
}

/// Lists the files of a folder. Entries that cannot be listed are added to `skipped`.
pub(crate) fn files(folder: &Path, options: &ReadOptions, skipped: &mut Skipped) -> Result<Vec<FoundFile>> {
    let root = folder.canonicalize().map_err(Error::io(folder))?;
    std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let in_repository = root.ancestors().any(|above| above.join(".git").exists());
    let globs = Arc::new(globs(folder, options)?);
    let mut walk = Walk { options, globs, in_repository, seen: Arc::default(), files: vec![], links: vec![] };
    walk.walk(folder, skipped)?;
    while let Some(link) = walk.next_link() {
        match link.canonicalize() {
            // Visited already, or an ancestor of the folder.
            Ok(target) if root.starts_with(&target) || lock(&walk.seen).contains(&target) => (),
            Ok(_) => walk.walk(&link, skipped)?,
            Err(error) => skipped.push_not_listed(&link, error)?,
        }
    }
    walk.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    named(folder, walk.files, skipped)
}

/// State of the walk.
struct Walk<'a> {
    options: &'a ReadOptions,
    globs: Arc<Override>,
    in_repository: bool,
    /// Real paths of the visited folders.
    seen: Arc<Mutex<HashSet<PathBuf>>>,
    files: Vec<(PathBuf, Stamp)>,
    /// Links to folders that are not followed yet.
    links: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Walks everything below `root`. Links to folders are noted, not followed.
    fn walk(&mut self, root: &Path, skipped: &mut Skipped) -> Result<()> {
        let (globs, seen) = (self.globs.clone(), self.seen.clone());
        lock(&seen).extend(root.canonicalize());
        let heeds_ignore = !self.options.no_ignore;
        let walker = WalkBuilder::new(root)
            .hidden(!self.options.hidden)
            .ignore(heeds_ignore)
            .git_ignore(heeds_ignore)
            .git_exclude(heeds_ignore)
            .git_global(false)
            .require_git(false)
            .parents(heeds_ignore && self.in_repository)
            .filter_entry(move |entry| entry.depth() == 0 || is_included(entry, &globs, &seen))
            .build();
        for entry in walker {
            match entry {
                Ok(entry) if entry.depth() > 0 => self.note(&entry, skipped)?,
                Ok(_) => (),
                Err(error) => {
                    let (path, reason) = explain(&error);
                    skipped.push_not_listed(path.unwrap_or(root), reason)?;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, entry: &DirEntry, skipped: &mut Skipped) -> Result<()> {
        let path = entry.path();
        match path.metadata() {
            Ok(found) if found.is_file() => self.files.push((path.to_owned(), Stamp::of(&found))),
            Ok(found) if found.is_dir() => self.links.extend(entry.path_is_symlink().then(|| path.to_owned())),
            Ok(_) => skipped.push(path, "neither a file nor a folder")?,
            Err(error) => skipped.push_not_listed(path, error)?,
        }
        Ok(())
    }

    /// Removes and returns the first link by path, so that the result does not depend on the order of directory
    /// entries.
    fn next_link(&mut self) -> Option<PathBuf> {
        let first = (0..self.links.len()).min_by_key(|&at| &self.links[at])?;
        Some(self.links.swap_remove(first))
    }
}

/// Whether the walk reads a file or enters a folder; marks the folder as visited.
fn is_included(entry: &DirEntry, globs: &Override, seen: &Mutex<HashSet<PathBuf>>) -> bool {
    let path = entry.path();
    // The listing of the folder above tells what the entry is, except of a link.
    let is_folder = match entry.file_type() {
        Some(kind) if !kind.is_symlink() => kind.is_dir(),
        _ => path.is_dir(),
    };
    if globs.matched(path, is_folder).is_ignore() || is_unfinished(entry.file_name()) {
        return false;
    }
    if entry.file_type().is_none_or(|kind| !kind.is_dir()) {
        return true;
    }
    // The text of an index belongs to another collection.
    !selvedge_index::is_index(path) && path.canonicalize().is_ok_and(|real| lock(seen).insert(real))
}

/// Whether a name is that of an incomplete file or folder, such as the index that is being built.
fn is_unfinished(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(".selvedge.") || name.starts_with('.') && name.ends_with(".partial")
}

/// Compiles the globs. A file is read if it matches no exclude glob and, if there are include globs, one of
/// these.
fn globs(folder: &Path, options: &ReadOptions) -> Result<Override> {
    let mut builder = OverrideBuilder::new(folder);
    let excluded = options.exclude.iter().map(|glob| format!("!{glob}"));
    for glob in options.include.iter().cloned().chain(excluded) {
        builder.add(&glob).map_err(|error| Error::Glob { glob: glob.clone(), reason: error.to_string() })?;
    }
    builder.build().map_err(|error| Error::Glob { glob: String::new(), reason: error.to_string() })
}

/// Returns the path and the reason of an error without the prefixes that the walk adds.
fn explain(error: &ignore::Error) -> (Option<&Path>, String) {
    match error {
        ignore::Error::WithPath { path, err } => (Some(path), explain(err).1),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => explain(err),
        other => (None, other.to_string()),
    }
}

/// Gives each path its id. A path whose id is invalid or taken is skipped; two names that are not UTF-8 may
/// have the same id.
fn named(folder: &Path, paths: Vec<(PathBuf, Stamp)>, skipped: &mut Skipped) -> Result<Vec<FoundFile>> {
    let mut files: Vec<FoundFile> = Vec::with_capacity(paths.len());
    let mut ids = HashSet::new();
    for (path, stamp) in paths {
        let names = path.strip_prefix(folder).unwrap_or(&path).components();
        let names: Vec<_> = names.map(|name| name.as_os_str().to_string_lossy()).collect();
        let id = names.join("/");
        if let Err(reason) = check_id(&id) {
            skipped.push(&path, reason)?;
        } else if !ids.insert(id.clone()) {
            skipped.push(&path, "its name is not valid UTF-8, and looks like that of another file")?;
        } else {
            files.push(FoundFile { path, stamp, id, mark: "#" });
        }
    }
    let part_like: HashSet<&str> = ids.iter().filter_map(|id| whole_of(id)).collect();
    for file in &mut files {
        if part_like.contains(file.id.as_str()) {
            file.mark = "/#";
        }
    }
    Ok(files)
}

/// Returns the part of an id before a `#` and a number at its end.
fn whole_of(id: &str) -> Option<&str> {
    let (whole, number) = id.rsplit_once('#')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(whole)
}

/// Locks the set. No code panics while it holds the lock, so a poisoned lock is valid.
fn lock(seen: &Mutex<HashSet<PathBuf>>) -> MutexGuard<'_, HashSet<PathBuf>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
