//! Files of one directory of the file system.

use super::{Lock, Storage, StoredFile, Temporary, this_process};
use bytes::Bytes;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Files that are synced at the same time at most.
const MAX_SYNCS: usize = 16;

/// A directory of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at `path`, which need not exist before it is used.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

/// Makes the names in `directory` durable (`fsync` of the directory on Unix).
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Parent directory of `path`; `.` for a bare name.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Storage for Directory {
    fn root(&self) -> PathBuf {
        self.path.clone()
    }

    fn create_root(&self) -> io::Result<bool> {
        match fs::create_dir(&self.path) {
            Ok(()) => sync_directory(&parent_of(&self.path)).map(|()| true),
            Err(_) if self.path.is_dir() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn remove_root(&self) {
        // Fails, as it should, if the directory holds files.
        let _ = fs::remove_dir(&self.path);
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let file = File::options().write(true).create_new(true).open(self.path.join(name))?;
        Ok(Box::new(FsFile(file)))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        // Not in append mode, in which `write_at` would write at the end.
        let mut file = File::options().write(true).create(true).truncate(false).open(self.path.join(name))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(FsFile(file)))
    }

    #[allow(unsafe_code)]
    fn map(&self, name: &str) -> io::Result<Bytes> {
        let file = File::open(self.path.join(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if metadata.len() == 0 {
            return Ok(Bytes::new());
        }
        // SAFETY: the mapping is read-only, and files of an index never change once they are complete: a writer fills
        // them under a hidden name and moves them into place. The format forbids any other process to change or
        // truncate a file in place.
        let mapped = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Bytes::from_owner(mapped))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = fs::read_dir(&self.path)?.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    /// All at the same time: a file system with a journal commits it about once for all of them, rather than once for
    /// each.
    fn sync_all(&self, files: Vec<Box<dyn StoredFile>>) -> io::Result<()> {
        let num_threads = files.len().min(MAX_SYNCS);
        let files = Mutex::new(files);
        let next = || files.lock().expect("no sync panics").pop();
        let close_files = || std::iter::from_fn(next).try_for_each(StoredFile::close);
        std::thread::scope(|scope| {
            // Where no thread can be had, this one does the work.
            let start = |_| std::thread::Builder::new().spawn_scoped(scope, close_files).ok();
            let threads: Vec<_> = (0..num_threads).filter_map(start).collect();
            let own = [self.sync_names(), close_files()];
            threads.into_iter().map(|thread| thread.join().expect("no sync panics")).chain(own).collect()
        })
    }

    fn lock(&self, name: &str, wait: bool) -> io::Result<Result<Box<dyn Lock>, String>> {
        let lock = |file: &File| if wait { file.lock().map_err(TryLockError::Error) } else { file.try_lock() };
        let path = self.path.join(name);
        Ok(match FileLock::acquire(&path, lock)? {
            Some(lock) => Ok(Box::new(lock)),
            None => Err(fs::read_to_string(&path).unwrap_or_default()),
        })
    }

    fn hold(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        FileRight::acquire(&self.path.join(name), File::options().read(true), File::try_lock_shared)
    }

    fn claim(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        // NFS gives an exclusive lock of a file that is open for writing only.
        FileRight::acquire(&self.path.join(name), File::options().read(true).write(true), File::try_lock)
    }

    fn holders(&self, name: &str) -> Vec<u32> {
        holders_of(&self.path.join(name))
    }

    fn temporary(&self) -> io::Result<Box<dyn Temporary>> {
        Ok(Box::new(tempfile::tempfile_in(&self.path)?))
    }
}

struct FsFile(File);

impl Write for FsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl StoredFile for FsFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = self.0.stream_position()?;
        self.0.seek(SeekFrom::Start(at))?;
        self.0.write_all(bytes)?;
        self.0.seek(SeekFrom::Start(end)).map(drop)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Shared or exclusive lock (`flock` on Linux) on an existing file, which is kept. On a file system without locks every
/// right is granted: a file that is deleted while another process has it mapped keeps its bytes there.
#[derive(Debug)]
struct FileRight {
    /// Closing the file releases the lock.
    _file: File,
}

impl Lock for FileRight {}

impl FileRight {
    /// Takes the right to the file at `path` by `lock`; `None` where the right of another excludes it.
    fn acquire(
        path: &Path,
        options: &OpenOptions,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> io::Result<Option<Box<dyn Lock>>> {
        let file = options.open(path)?;
        loop {
            match lock(&file) {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever claimed the file may have deleted it since it was opened here.
                _ if !is_still_at(&file, path) => return Err(io::ErrorKind::NotFound.into()),
                _ => return Ok(Some(Box::new(Self { _file: file }))),
            }
        }
    }
}

/// Processes that hold a lock of the file at `path`, by Linux's table of locks; empty elsewhere.
fn holders_of(path: &Path) -> Vec<u32> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let Ok(inode) = fs::metadata(path).map(|metadata| format!(":{}", metadata.ino())) else { return Vec::new() };
        let table = fs::read_to_string("/proc/locks").unwrap_or_default();
        // A line is like "1: FLOCK  ADVISORY  READ 708 08:01:131074 0 EOF": process, then device and inode.
        let holder = |line: &str| {
            let mut words = line.split_whitespace().skip_while(|&word| word != "FLOCK");
            let (process, file) = (words.nth(3)?, words.next()?);
            if file.ends_with(&inode) { process.parse().ok() } else { None }
        };
        let mut holders: Vec<u32> = table.lines().filter_map(holder).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Vec::new()
    }
}

/// An exclusive lock (`flock` on Linux) on a file, which is deleted when the lock is dropped.
///
/// The operating system releases the lock of a process that dies, so a leftover file locks nothing. On a file system
/// without locks the existence of the file is the lock, and the leftover of a dead process must be deleted by hand. Two
/// machines exclude each other where the file system shares its locks, as NFS does unless mounted with `nolock` or
/// `local_lock`.
#[derive(Debug)]
struct FileLock {
    path: PathBuf,
    /// Closing the file releases the lock.
    file: File,
}

impl Lock for FileLock {
    fn is_valid(&self) -> bool {
        is_still_at(&self.file, &self.path)
    }
}

impl FileLock {
    /// Takes the lock of the file at `path`; `None` where another holder, of this process or another, has it.
    fn acquire(path: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<Self>> {
        loop {
            let (file, is_new) = open_or_create(path)?;
            match lock(&file) {
                Ok(()) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The file system has no locks: creating the file was the lock.
                Err(TryLockError::Error(_)) if is_new => {}
                Err(_) => return Ok(None),
            }
            // The previous holder may have deleted the file after it was opened here; that file locks nothing.
            if is_still_at(&file, path) {
                // Whoever finds the lock taken names its holder. Without the name it is still a lock.
                let _ = file.set_len(0).and_then(|()| (&file).write_all(this_process().as_bytes()));
                return Ok(Some(Self { path: path.to_owned(), file }));
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Deleted before the lock is released: the next holder sees that the file is gone and creates another.
        if self.is_valid() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the file, creating it if needed; the flag says whether it was created here.
fn open_or_create(path: &Path) -> io::Result<(File, bool)> {
    loop {
        match File::options().write(true).create_new(true).open(path) {
            Ok(file) => return Ok((file, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match open_existing(path)? {
            Some(file) => return Ok((file, false)),
            None => continue,
        }
    }
}

/// Opens the lock file of another holder; `None` if that holder has deleted it meanwhile. It is never created
/// here: on a file system without locks the new file would lock the directory, and no holder would delete it.
fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match File::options().write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        // A dangling symbolic link exists for `create_new` and is absent for `open`: a retry would never end.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `path` still names the open `file`.
fn is_still_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((file.metadata().map(id), fs::metadata(path).map(id)), (Ok(open), Ok(named)) if open == named)
    }
    #[cfg(not(unix))]
    {
        // Other systems do not delete an open file.
        let _ = (file, path);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "lock";

    /// Takes the lock as on a file system without locks.
    fn take_without_locks(folder: &Path) -> Option<FileLock> {
        let unsupported = |_: &File| Err(TryLockError::Error(io::ErrorKind::Unsupported.into()));
        FileLock::acquire(&folder.join(NAME), unsupported).unwrap()
    }

    #[test]
    fn without_locks_the_file_is_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let first = take_without_locks(directory.path());
        assert!(first.is_some() && take_without_locks(directory.path()).is_none());
        drop(first);
        drop(take_without_locks(directory.path()).unwrap());
        assert!(!directory.path().join(NAME).exists());
    }

    #[test]
    fn a_file_that_its_holder_deletes_is_not_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        assert!(open_existing(&path).unwrap().is_none());
        assert!(!path.exists(), "no holder would own the file");
        fs::write(&path, "").unwrap();
        assert!(open_existing(&path).unwrap().is_some());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_nothing_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join(NAME)).unwrap();
        assert!(Directory::new(directory.path()).lock(NAME, true).is_err());
    }
}
