//! Copies of objects on the disk, by the names of their contents. The least recently opened ones go first.
//!
//! ```text
//! CACHE/HASH OF THE URL/url               the URL, for people
//!                      /work/             incomplete files of a writer, and its lock
//!                      /copies/NAME~TAG   a copy; its time is the last time that it was opened
//! ```
//!
//! `SELVEDGE_CACHE` names the folder, which is in the user's cache folder otherwise. `SELVEDGE_CACHE_BYTES` is the most
//! bytes of all copies. A copy that is deleted while it is mapped keeps its bytes until it is not mapped any more.

use super::super::Directory;
use super::objects::Object;
use super::{Storage, io};
use crate::files::IndexFile;
use crate::framed_file::FramedFile;
use bytes::Bytes;
use siphasher::sip::SipHasher13;
use std::fs::{self, File};
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Most bytes of all copies, by default. An index whose files take more is refused, with the setting's name.
const LIMIT: u64 = 100 << 30;
/// Age from which an incomplete copy belongs to a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// Start of the name of an incomplete copy.
const INCOMPLETE: &str = ".copying-";

/// Copies of the objects at one URL.
#[derive(Debug)]
pub(super) struct Copies {
    /// Folder of all URLs.
    cache: PathBuf,
    /// Folder of this one.
    own: PathBuf,
    /// Copies of this one.
    folder: Directory,
    limit: u64,
}

/// Folder of the cache.
pub(super) fn folder() -> io::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SELVEDGE_CACHE") {
        return Ok(folder.into());
    }
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no folder for copies: set SELVEDGE_CACHE");
    Ok(cache.ok_or_else(missing)?.join("selvedge").join("objects"))
}

/// Most bytes of all copies.
pub(super) fn limit() -> io::Result<u64> {
    let Ok(text) = std::env::var("SELVEDGE_CACHE_BYTES") else { return Ok(LIMIT) };
    let message = || format!("SELVEDGE_CACHE_BYTES is {text:?}: expected a number of bytes");
    text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, message()))
}

fn hash(text: &str) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// Name of the copy of an object.
fn copy_name(name: &str, object: &Object) -> String {
    format!("{name}~{}", hash(&format!("{} {}", object.tag.trim_start_matches("W/").trim_matches('"'), object.size)))
}

impl Copies {
    pub(super) fn new(cache: &Path, url: &str, limit: u64) -> io::Result<Self> {
        let own = cache.join(hash(url.trim_end_matches('/')));
        let folder = own.join("copies");
        fs::create_dir_all(&folder)?;
        fs::write(own.join("url"), format!("{url}\n"))?;
        Ok(Self { cache: cache.to_owned(), own, folder: Directory::new(&folder), limit })
    }

    /// Folder for the incomplete files of a writer.
    pub(super) fn work_folder(&self) -> io::Result<PathBuf> {
        let folder = self.own.join("work");
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Checks that files of `bytes` in all have place.
    pub(super) fn check_limit(&self, bytes: u64) -> io::Result<()> {
        if bytes <= self.limit {
            return Ok(());
        }
        let message = format!("copies of {bytes} bytes, at most {} by SELVEDGE_CACHE_BYTES", self.limit);
        Err(io::Error::new(io::ErrorKind::StorageFull, message))
    }

    /// Maps the copy of an object, which `download` writes first if there is none.
    pub(super) fn map(
        &self,
        name: &str,
        object: &Object,
        download: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<Bytes> {
        let copy = copy_name(name, object);
        match self.folder.map(&copy) {
            Ok(bytes) => {
                // Its time orders the copies. Without it, the copy goes earlier.
                let opened = File::options().append(true).open(self.folder.path(&copy));
                let _ = opened.and_then(|file| file.set_modified(SystemTime::now()));
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.make_room(object.size)?;
        let incomplete = tempfile::Builder::new().prefix(INCOMPLETE).tempfile_in(self.folder.root())?;
        download(incomplete.as_file())?;
        let file_name = incomplete.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        check(&self.folder, name, &file_name)?;
        // Mapped before it has its name, under which another process may delete it.
        let bytes = self.folder.map(&file_name)?;
        incomplete.persist(self.folder.path(&copy))?;
        Ok(bytes)
    }

    /// Makes a local file the copy of an object.
    pub(super) fn adopt(&self, file: &Path, name: &str, object: &Object) -> io::Result<()> {
        self.make_room(object.size)?;
        fs::rename(file, self.folder.path(&copy_name(name, object)))
    }

    /// Deletes the copies of all URLs that were not opened for the longest time, until `bytes` more have place.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        self.check_limit(bytes)?;
        let mut copies = Vec::new();
        for url in fs::read_dir(&self.cache)? {
            // A folder that another process deletes meanwhile has no copies.
            let files = fs::read_dir(url?.path().join("copies")).into_iter().flatten();
            copies.extend(files.flatten().filter_map(|file| {
                let metadata = file.metadata().ok()?;
                let is_incomplete = file.file_name().to_string_lossy().starts_with(INCOMPLETE);
                Some((metadata.modified().ok()?, metadata.len(), file.path(), is_incomplete))
            }));
        }
        copies.sort_unstable();
        let mut total: u64 = copies.iter().map(|(_, size, ..)| size).sum();
        for (opened, size, path, is_incomplete) in copies {
            let is_abandoned = || SystemTime::now().duration_since(opened).is_ok_and(|age| age > ABANDONED);
            if if is_incomplete { is_abandoned() } else { total.saturating_add(bytes) > self.limit } {
                total -= size;
                // Another process may have deleted it.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// Checks the header and the checksum of a downloaded file.
fn check(folder: &Directory, name: &str, file_name: &str) -> io::Result<()> {
    let Some(file) = IndexFile::from_name(name) else { return Ok(()) };
    let checked = FramedFile::open_as(folder, file, file_name).and_then(|file| file.check());
    checked.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
