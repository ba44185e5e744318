//! Small files beside indexes, each written once: who is first decides.

use super::{Storage, hidden_name};
use std::io::{self, Write};

/// Creates a file with these bytes, whole; false if there is one of the name, which stays as it is.
///
/// # Errors
/// Of the storage.
pub fn put_new(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<bool> {
    storage.create_root()?;
    // On one machine, a second writer waits; in an object store, it is refused.
    let lock = storage.lock(&format!(".selvedge.put-{name}"), true)?.map_err(io::Error::other)?;
    if storage.list()?.iter().any(|found| found == name) {
        return Ok(false);
    }
    let hidden = hidden_name(name);
    // Of a writer that died.
    let _ = storage.remove(&hidden);
    let mut file = storage.create(&hidden)?;
    file.write_all(bytes)?;
    file.close()?;
    let created = match storage.rename(&hidden, name) {
        Ok(()) => storage.sync_names().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage.remove(&hidden).map(|()| false),
        Err(error) => Err(error),
    };
    drop(lock);
    created
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, Memory};

    #[test]
    fn the_first_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let storages: [&dyn Storage; 2] = [&Directory::new(&folder.path().join("new")), &Memory::new()];
        for storage in storages {
            assert!(put_new(storage, "recipe", b"first").unwrap());
            assert!(!put_new(storage, "recipe", b"second").unwrap());
            assert_eq!(storage.map("recipe").unwrap()[..], *b"first");
            assert_eq!(storage.list().unwrap(), ["recipe"]);
        }
    }

    #[test]
    fn one_of_several_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let put = |i: u8| put_new(&Directory::new(folder.path()), "recipe", &[i; 100]).unwrap();
        let created: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || put(i))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(created.iter().filter(|&&created| created).count(), 1, "{created:?}");
        let winner = created.iter().position(|&created| created).unwrap() as u8;
        assert_eq!(Directory::new(folder.path()).map("recipe").unwrap()[..], [winner; 100]);
    }
}
