//! Contract of every storage, and losses of the simulated disk.

use super::*;
use std::io::{ErrorKind, Read, SeekFrom};

/// Writes a file as the index does: its first bytes last.
fn write(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let mut file = storage.create(name).unwrap();
    file.write_all(&vec![0; bytes.len()]).unwrap();
    file.write_at(0, bytes).unwrap();
    file.close().unwrap();
}

fn each_storage(check: impl Fn(&dyn Storage)) {
    let directory = tempfile::tempdir().unwrap();
    check(&Directory::new(directory.path()));
    check(&Memory::new());
    check(&Faulty::new(&Memory::new(), Plan::Sound));
    check(&Hidden::new(std::sync::Arc::new(Memory::new())));
}

#[test]
fn files_are_created_mapped_renamed_and_removed() {
    each_storage(|storage| {
        write(storage, "b", b"bytes");
        assert_eq!(storage.create("b").err().map(|error| error.kind()), Some(ErrorKind::AlreadyExists));
        let mapped = storage.map("b").unwrap();
        write(storage, "a", b"");
        assert_eq!(storage.list().unwrap(), ["a", "b"]);
        assert!(storage.map("a").unwrap().is_empty());
        storage.rename("a", "b").unwrap();
        assert!(storage.map("b").unwrap().is_empty(), "the other file was replaced");
        assert_eq!(storage.list().unwrap(), ["b"]);
        storage.remove("b").unwrap();
        storage.sync_names().unwrap();
        assert_eq!(mapped[..], *b"bytes", "a map outlives the name");
        for error in [storage.map("b").err(), storage.remove("b").err(), storage.rename("b", "c").err()] {
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::NotFound), "{storage:?}");
        }
    });
}

#[test]
fn files_grow_at_their_end() {
    each_storage(|storage| {
        for (text, at) in [("one", 0), ("two", 1)] {
            let mut file = storage.append("log").unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.write_at(at, b"_").unwrap();
            file.write_all(b".").unwrap();
            file.close().unwrap();
        }
        assert_eq!(storage.map("log").unwrap()[..], *b"__e.two.");
        let mut spool = storage.temporary().unwrap();
        spool.write_all(b"spooled").unwrap();
        spool.seek(SeekFrom::Start(2)).unwrap();
        let mut rest = String::new();
        spool.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), storage.list().unwrap().len()), ("ooled", 1));
    });
}

#[test]
fn a_lock_has_one_holder() {
    each_storage(|storage| {
        let first = storage.lock("lock", false).unwrap().unwrap();
        let holder = storage.lock("lock", false).unwrap().unwrap_err();
        assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{storage:?}: {holder:?}");
        assert!(storage.lock("other", false).unwrap().is_ok());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| storage.lock("lock", true).unwrap().is_ok());
            drop(first);
            assert!(second.join().unwrap());
        });
        assert_eq!(storage.list().unwrap(), [""; 0], "{storage:?}");
    });
}

#[test]
fn a_file_that_is_held_cannot_be_claimed() {
    each_storage(|storage| {
        assert_eq!(storage.hold("file").unwrap_err().kind(), ErrorKind::NotFound);
        write(storage, "file", b"x");
        let holds = [storage.hold("file").unwrap().unwrap(), storage.hold("file").unwrap().unwrap()];
        let this = std::process::id();
        assert!(storage.claim("file").unwrap().is_none() && storage.holders("file").contains(&this), "{storage:?}");
        drop(holds);
        assert!(storage.holders("file").is_empty(), "{storage:?}");
        let claim = storage.claim("file").unwrap().unwrap();
        assert!(storage.hold("file").unwrap().is_none() && storage.claim("file").unwrap().is_none(), "{storage:?}");
        storage.remove("file").unwrap();
        drop(claim);
        assert_eq!(storage.claim("file").unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_plan_strikes_its_operation() {
    let failing = Faulty::new(&Memory::new(), Plan::Fail(1, ErrorKind::StorageFull));
    let mut file = failing.create("a").unwrap();
    assert_eq!(file.write_all(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all(b"y").unwrap();
    assert_eq!(failing.map("a").unwrap()[..], *b"y");
    let dead = Faulty::new(&Memory::new(), Plan::Crash(1));
    let mut file = dead.create("a").unwrap();
    assert!(file.write_all(b"x").is_err() && file.close().is_err() && dead.list().is_err());
    assert_eq!(dead.num_ops(), 4);
}

/// Files by name, as text.
fn files(disk: &Memory) -> Vec<(String, String)> {
    let text = |name: &String| String::from_utf8_lossy(&disk.map(name).unwrap()).into_owned();
    disk.list().unwrap().into_iter().map(|name| (name.clone(), text(&name))).collect()
}

#[test]
fn what_is_synced_survives_and_all_else_may_not() {
    let before = Memory::new();
    before.insert("old", b"old".to_vec());
    let disk = Faulty::new(&before, Plan::Sound);
    write(&disk, "synced", b"123");
    disk.sync_names().unwrap();
    disk.append("synced").unwrap().write_all(b"456").unwrap();
    write(&disk, "nameless", b"?");
    disk.remove("old").unwrap();
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(files(&disk.after_crash(Survival::Dropped)), [pair("old", "old"), pair("synced", "123")]);
    assert_eq!(files(&disk.after_crash(Survival::Kept)), [pair("nameless", "?"), pair("synced", "123456")]);
    let torn: std::collections::HashSet<_> =
        (0..2000).map(|seed| files(&disk.after_crash(Survival::Torn(seed)))).collect();
    // "old" or not, "nameless" or not, and of "456" 0 to 3 bytes or zeros.
    assert_eq!(torn.len(), 2 * 2 * 7);
    assert!(torn.iter().flatten().all(|(name, text)| name != "synced" || text.starts_with("123")));
}

/// Source files below `folder`, except this module and tests.
fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_skipped = path.ends_with("storage") || path.ends_with("tests") || path.ends_with("tests.rs");
        match path.is_dir() {
            _ if is_skipped => {}
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn no_other_module_touches_the_file_system() {
    let mut found = Vec::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 15, "{found:?}");
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for word in ["std::fs", "fs::", "File::open", "File::create", "tempfile", "memmap2"] {
            // These are files of a storage.
            assert!(
                !code.replace("FramedFile", "").replace("DocumentsFile", "").contains(word),
                "{}: {word}",
                path.display()
            );
        }
    }
}

#[test]
fn few_files_stay_open_until_they_are_synced() {
    let hidden = Hidden::new(std::sync::Arc::new(Memory::new()));
    for number in 0..200 {
        hidden.create(&format!("file-{number}")).unwrap().close().unwrap();
        assert!(hidden.num_closed() <= 64);
    }
    hidden.sync_closed().unwrap();
    assert_eq!(hidden.num_closed(), 0);
}
