//! Files that appear under their name when they are complete.
//!
//! **In:** a path and bytes. **Out:** a file at the path, or an error and nothing at the path.
//!
//! | target | written to |
//! |---|---|
//! | nothing, or a regular file | a hidden file beside it, which is renamed to the target at the end |
//! | `/dev/stdout`, `/dev/fd/3`, a pipe, a terminal | the target itself |
//! | `-` | standard output, if the file is created with [`Staged::create_or_stdout`] |
//!
//! A hidden file is locked while its process lives. A process that was killed leaves it unlocked, and the next one that
//! writes to the same folder removes it.

use crate::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Start of the name of a hidden file.
const PREFIX: &str = ".selvedge-";
/// End of the name of a hidden file.
const SUFFIX: &str = ".partial";

/// Paths of the process's open files, which are written directly even if a shell redirected one to a regular file.
const DESCRIPTORS: [&str; 3] = ["/dev/stdout", "/dev/stderr", "/dev/fd"];

/// A file that is being written. Dropped before [`Staged::finish`], it leaves its target as it was.
pub(crate) struct Staged {
    path: PathBuf,
    file: BufWriter<Target>,
}

/// The place that bytes go to.
enum Target {
    Hidden(NamedTempFile),
    Direct(Box<dyn Write + Send>),
}

impl Staged {
    /// Creates a file that will be at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder of `path`, or `path` itself where it is not a regular file, cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
        let target = if is_special || DESCRIPTORS.iter().any(|above| path.starts_with(above)) {
            Target::Direct(Box::new(File::options().append(true).open(path).map_err(Error::io(path))?))
        } else {
            Target::Hidden(hidden_file(path).map_err(Error::io(path))?)
        };
        Ok(Self { path: path.into(), file: BufWriter::new(target) })
    }

    /// Folder that the file will be in; `None` if the target is written directly.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self.file.get_ref() {
            Target::Hidden(file) => file.path().parent(),
            Target::Direct(_) => None,
        }
    }

    /// Like [`Staged::create`], but `-` is standard output.
    ///
    /// # Errors
    /// As [`Staged::create`].
    pub(crate) fn create_or_stdout(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let target = Target::Direct(Box::new(io::stdout()));
            return Ok(Self { path: path.into(), file: BufWriter::new(target) });
        }
        Self::create(path)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`], which names the target.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io(&self.path))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Io`], which names the target.
    pub(crate) fn write_line(&mut self, line: &str) -> Result<()> {
        self.write(line.as_bytes())?;
        self.write(b"\n")
    }

    /// The bytes, as a writer; a target that is no regular file cannot seek.
    pub(crate) fn writer(&mut self) -> &mut (impl Write + Seek + use<>) {
        &mut self.file
    }

    /// Goes back to the first byte, so that a header can be filled in.
    ///
    /// # Errors
    /// [`Error::Io`] if the target is a pipe or another special file.
    pub(crate) fn rewind(&mut self) -> Result<()> {
        self.file.rewind().map_err(Error::io(&self.path))
    }

    /// Completes the file, which then appears under its name.
    ///
    /// # Errors
    /// [`Error::Io`], which names the target.
    pub(crate) fn finish(self) -> Result<()> {
        let path = self.path;
        let mut target = self.file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        let finished = target.flush().and_then(|()| match target {
            Target::Hidden(file) => {
                file.as_file().sync_all()?;
                // A symbolic link at the path is kept: the file that it points to is replaced.
                file.persist(path.canonicalize().as_deref().unwrap_or(&path)).map(|_| ()).map_err(|error| error.error)
            }
            Target::Direct(_) => Ok(()),
        });
        finished.map_err(Error::io(&path))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Hidden(file) => file.write(bytes),
            Self::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Hidden(file) => file.flush(),
            Self::Direct(file) => file.flush(),
        }
    }
}

impl Seek for Target {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Hidden(file) => file.seek(to),
            Self::Direct(_) => Err(io::Error::new(io::ErrorKind::NotSeekable, "not a regular file")),
        }
    }
}

/// Creates a locked hidden file in the folder of `path`, after removing the files of processes that died.
fn hidden_file(path: &Path) -> io::Result<NamedTempFile> {
    let target = path.canonicalize().unwrap_or_else(|_| path.into());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    remove_stale(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let file = builder.tempfile_in(folder).map_err(|error| of_folder(folder, &error))?;
        // Before the file is locked, another process may take it for stale and remove it; then another file is
        // created. Without locks no file counts as stale, because locking it fails.
        let is_taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !is_taken && file.path().exists() {
            return Ok(file);
        }
    }
}

/// Returns the error of a hidden file in the words of its folder, the path that the caller knows.
fn of_folder(folder: &Path, error: &io::Error) -> io::Error {
    if folder.is_dir() {
        return error.kind().into();
    }
    let reason = format!("the folder {} does not exist; create it first", folder.display());
    io::Error::new(io::ErrorKind::NotFound, reason)
}

/// Removes hidden files that no process holds locked. A failure leaves them for the next time.
fn remove_stale(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        if is_ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Names in a folder, sorted.
    pub(crate) fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        std::fs::write(&path, "before").unwrap();
        let mut file = Staged::create(&path).unwrap();
        file.write_line("one").unwrap();
        file.rewind().unwrap();
        file.write(b"O").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "One\n");
        drop(Staged::create(&path).unwrap());
        assert_eq!(names(dir.path()), ["run"]);
        let error = Staged::create(&dir.path().join("none/run")).err().unwrap();
        assert!(matches!(error, Error::Io { path, .. } if path.ends_with("none/run")));
        assert!(matches!(Staged::create(dir.path()), Err(Error::Io { .. })));
    }

    /// Files that a killed process left are removed; files of live processes and of other programs are kept.
    #[test]
    fn stale_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(dir.path().join(name), "x").unwrap();
        let _live = Staged::create(&dir.path().join("a")).unwrap();
        let live = names(dir.path()).remove(0);
        write(".selvedge-killed.partial");
        write(".download.partial");
        Staged::create(&dir.path().join("b")).unwrap().finish().unwrap();
        let mut left = vec![".download.partial".to_owned(), "b".to_owned(), live];
        left.sort();
        assert_eq!(names(dir.path()), left);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_special_files_are_written_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "before").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let mut file = Staged::create(&link).unwrap();
        file.write(b"after").unwrap();
        file.finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "after");

        let mut file = Staged::create(Path::new("/dev/null")).unwrap();
        file.write(b"nothing").unwrap();
        assert!(matches!(file.rewind(), Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotSeekable));
        file.finish().unwrap();
        let is_file = |path: &str| std::fs::metadata(path).unwrap().is_file();
        assert!(!is_file("/dev/null"));
    }
}
