//! A cache of CUBINs on disk, so that a kernel is compiled once and not by every process.
//!
//! Each kernel variant has one file, named by its key: the SHA-256 of all inputs of the compiler. A file is
//!
//! ```text
//! key, 32 bytes | SHA-256 of the CUBIN, 32 bytes | CUBIN
//! ```
//!
//! and is written atomically. A file that is truncated, corrupt or of another key counts as absent and is written
//! again; processes that write the same file write the same bytes.

use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Version of the cache format, changed whenever older files must not be read. It is part of every key.
const SCHEMA: &str = "selvedge cubin 1";

/// Hash of all inputs of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// Computes the key of `source`, compiled with `options`, in their order, by NVRTC `version`.
    pub fn new(source: &str, options: &[String], version: (u32, u32)) -> Self {
        let mut hasher = Sha256::new();
        // Lengths separate the parts: ("ab", "c") differs from ("a", "bc").
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(SCHEMA.as_bytes());
        part(source.as_bytes());
        part(&version.0.to_le_bytes());
        part(&version.1.to_le_bytes());
        options.iter().for_each(|option| part(option.as_bytes()));
        Self(hasher.finalize().into())
    }

    fn file_name(&self) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        hex + ".cubin"
    }
}

/// Cache of compiled kernels: a folder, or no cache at all.
#[derive(Clone, Debug)]
pub struct Cubins {
    folder: Option<PathBuf>,
}

impl Cubins {
    /// The user's cache: `SELVEDGE_CUBINS`, or `selvedge/cubins` in the system's cache folder (`XDG_CACHE_HOME` or
    /// `~/.cache`; `LOCALAPPDATA` on Windows). Without any of these, nothing is cached.
    pub fn of_user() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = || match cfg!(windows) {
            true => var("LOCALAPPDATA"),
            false => var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache"))),
        };
        Self { folder: var("SELVEDGE_CUBINS").or_else(|| Some(cache()?.join("selvedge").join("cubins"))) }
    }

    /// A cache in `folder`, which is created when the first CUBIN is written.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// No cache: every kernel is compiled.
    pub fn nowhere() -> Self {
        Self { folder: None }
    }

    /// Returns the cached CUBIN of `key`, or else the result of `compile`, which is cached. A failure to write it, on a
    /// full disk or in a read-only folder, is not an error: the next process compiles again.
    ///
    /// # Errors
    /// The error of `compile`.
    pub fn get_or_compile<E>(&self, key: &Key, compile: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        if let Some(cubin) = self.read(key) {
            return Ok(cubin);
        }
        let cubin = compile()?;
        let _ = self.write(key, &cubin);
        Ok(cubin)
    }

    /// Removes the CUBIN of `key` from the cache, so that it is compiled again. For a CUBIN that the driver rejects.
    pub fn remove(&self, key: &Key) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_file(folder.join(key.file_name()));
        }
    }

    fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(self.folder.as_ref()?.join(key.file_name())).ok()?;
        let cubin = bytes.get(64..)?;
        let whole = bytes[..32] == key.0 && bytes[32..64] == *Sha256::digest(cubin);
        whole.then(|| bytes.split_off(64))
    }

    fn write(&self, key: &Key, cubin: &[u8]) -> std::io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&key.0)?;
        file.write_all(&Sha256::digest(cubin))?;
        file.write_all(cubin)?;
        file.persist(folder.join(key.file_name()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn key(source: &str) -> Key {
        Key::new(source, &["--std=c++17".into()], (13, 0))
    }

    fn get(cubins: &Cubins, key: &Key, made: &[u8]) -> (Vec<u8>, bool) {
        let mut compiled = false;
        let cubin = cubins.get_or_compile(key, || {
            compiled = true;
            Ok::<_, Infallible>(made.to_vec())
        });
        (cubin.expect("infallible"), compiled)
    }

    #[test]
    fn every_part_of_a_key_counts() {
        let options = |all: &[&str]| all.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>();
        let keys = [
            Key::new("ab", &options(&["c"]), (13, 0)),
            Key::new("a", &options(&["bc"]), (13, 0)),
            Key::new("ab", &options(&["c"]), (13, 1)),
            Key::new("ab", &options(&["c"]), (12, 0)),
            Key::new("ab", &options(&["c", "d"]), (13, 0)),
            Key::new("ab", &options(&["d", "c"]), (13, 0)),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|b| a != b), "{i}");
        }
        assert_eq!(keys[0], Key::new("ab", &options(&["c"]), (13, 0)));
    }

    #[test]
    fn compiled_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cubins = Cubins::in_folder(&dir.path().join("not/there/yet"));
        assert_eq!(get(&cubins, &key("a"), b"A"), (b"A".to_vec(), true));
        assert_eq!(get(&cubins, &key("a"), b"other"), (b"A".to_vec(), false));
        assert_eq!(get(&cubins, &key("b"), b""), (b"".to_vec(), true));
        assert_eq!(get(&cubins, &key("b"), b"other"), (b"".to_vec(), false));
        cubins.remove(&key("a"));
        assert_eq!(get(&cubins, &key("a"), b"A2"), (b"A2".to_vec(), true));
        // No temporary file is left.
        assert_eq!(std::fs::read_dir(dir.path().join("not/there/yet")).unwrap().count(), 2);
    }

    #[test]
    fn corrupt_and_foreign_files_are_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let cubins = Cubins::in_folder(dir.path());
        let file = |key: &Key| dir.path().join(key.file_name());
        let whole = {
            get(&cubins, &key("a"), b"kernel");
            std::fs::read(file(&key("a"))).unwrap()
        };
        for len in 0..whole.len() {
            std::fs::write(file(&key("a")), &whole[..len]).unwrap();
            assert_eq!(get(&cubins, &key("a"), b"kernel"), (b"kernel".to_vec(), true), "{len} bytes");
            assert_eq!(std::fs::read(file(&key("a"))).unwrap(), whole);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(file(&key("a")), bytes).unwrap();
            assert_eq!(get(&cubins, &key("a"), b"kernel"), (b"kernel".to_vec(), true), "byte {at}");
        }
        std::fs::rename(file(&key("a")), file(&key("b"))).unwrap();
        assert_eq!(get(&cubins, &key("b"), b"B"), (b"B".to_vec(), true));
    }

    #[test]
    fn without_a_writable_folder_kernels_are_compiled() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for cubins in [Cubins::in_folder(&dir.path().join("file/below")), Cubins::nowhere()] {
            assert_eq!(get(&cubins, &key("a"), b"A"), (b"A".to_vec(), true));
            assert_eq!(get(&cubins, &key("a"), b"A"), (b"A".to_vec(), true));
            cubins.remove(&key("a"));
        }
        let failed = Cubins::in_folder(dir.path()).get_or_compile(&key("a"), || Err::<Vec<u8>, _>("no"));
        assert_eq!(failed, Err("no"));
    }

    #[test]
    fn many_at_once_get_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let made: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..20 {
                        let cubins = Cubins::in_folder(dir.path());
                        assert_eq!(get(&cubins, &key(&format!("{round}")), &made).0, made);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 20);
    }
}
