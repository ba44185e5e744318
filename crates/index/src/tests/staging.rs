//! A new index is either complete or absent, whatever happens while it is written.

use super::*;
use crate::Error;
use crate::files::{LOCK_NAME, PARTIAL_PREFIX};
use std::fs;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_seen_before_the_end_and_nothing_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    let passages = Passages::new(&codec.params, &[2, 0, 4]);
    let start = || {
        let mut writer = Writer::create(&path).unwrap();
        (0..4).for_each(|pid| writer.push_document(&document(pid)).unwrap());
        writer.finish_documents().unwrap();
        writer.set_codec(&codec).unwrap();
        passages.push_to(&mut writer, &codec.params, 1).unwrap();
        let mut spool = writer.spool().unwrap();
        spool.push(&[1.0; 100]).unwrap();
        (writer, spool)
    };
    let (writer, spool) = start();
    assert!(Index::open(&path, crate::Check::Structure).is_err());
    let is_hidden = |name: &String| name == LOCK_NAME || name.starts_with(PARTIAL_PREFIX);
    assert!(names(&path).iter().all(is_hidden), "no file is visible");
    drop((writer, spool));
    assert_eq!(names(directory.path()), [""; 0]);

    let (writer, _spool) = start();
    let error = writer.finish(ManifestInfo::default()).unwrap_err();
    assert!(matches!(error, Error::PassageCount { documents: 4, passages: 3 }), "{error}");
    assert_eq!(names(directory.path()), [""; 0]);

    let (mut writer, _spool) = start();
    let error = passages.push_to(&mut writer, &codec.params, 3).unwrap_err();
    assert!(matches!(error, Error::PassageCount { documents: 4, passages: 5 }), "{error}");
    assert!(matches!(writer.finish(ManifestInfo::default()), Err(Error::Unfinished)));
    assert_eq!(names(directory.path()), [""; 0]);

    let panicked = std::panic::catch_unwind(|| {
        let _writer = Writer::create(&path).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert_eq!(names(directory.path()), [""; 0]);

    let writer = Writer::create(&path).unwrap();
    assert!(matches!(writer.finish(ManifestInfo::default()), Err(Error::NoCodec)));
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn only_the_files_of_the_index_are_moved() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 3, 2, 4);
    let index = write_index(&directory.path().join("index"), &codec, &Passages::new(&codec.params, &[1]), None);
    assert_eq!(names(directory.path()), ["index"]);
    let expected = [
        "codec-0000",
        "codes-0001",
        "columns-0001",
        "ids-0001",
        "lists-0001",
        "manifest-0001",
        "offsets-0001",
        "residuals-0001",
        "scales-0001",
        "texts-0001",
    ];
    assert_eq!(names(index.path()), expected);
}

#[test]
fn an_empty_directory_is_used_and_nothing_else_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 3, 2, 4);
    let passages = Passages::new(&codec.params, &[1, 2]);
    let path = directory.path().join("index");
    fs::create_dir(&path).unwrap();
    let before = identity(&path);
    drop(Writer::create(&path).unwrap());
    assert_eq!(names(&path), [""; 0], "a directory that existed before is left, empty");
    write_index(&path, &codec, &passages, None);
    assert_eq!(identity(&path), before, "the directory is the same one, not a replacement");
    assert!(matches!(Writer::create(&path), Err(Error::Exists { .. })));
    assert_eq!(names(&path).len(), 10, "the refused writer has changed nothing");
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(Writer::create(&file), Err(Error::Exists { .. })));
    assert!(matches!(Writer::create(&file.join("below")), Err(Error::Io { .. })));
    assert!(matches!(Writer::create(&directory.path().join("no/such/parent")), Err(Error::Io { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names(directory.path()), ["file", "index"]);
}

#[test]
fn what_appears_at_the_target_meanwhile_stays() {
    let directory = tempfile::tempdir().unwrap();
    for what in ["precious", "codec", "manifest", "codec-0000", "manifest-0001"] {
        let path = directory.path().join(what);
        let mut writer = Writer::create(&path).unwrap();
        writer.set_codec(&codec(8, 3, 2, 4)).unwrap();
        fs::write(path.join(what), "precious").unwrap();
        let error = writer.finish(ManifestInfo::default()).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{what}: {error}");
        assert_eq!(names(&path), [what]);
        assert_eq!(fs::read_to_string(path.join(what)).unwrap(), "precious");
    }
}

/// Hidden name of a file.
fn hidden(name: &str) -> String {
    format!("{PARTIAL_PREFIX}{name}")
}

/// Leftovers of a process that was killed while moving files into place: all complete, the first `moved` in place.
fn killed_while_moving(path: &Path, moved: usize) {
    let codec = codec(8, 3, 2, 4);
    let index = write_index(path, &codec, &Passages::new(&codec.params, &[2, 0, 4]), None);
    fs::write(path.join(LOCK_NAME), "").unwrap();
    let files = index.manifest().files().into_iter().map(|(file, _)| file).skip(moved);
    for file in files.chain([index.manifest().file()]) {
        fs::rename(path.join(file.name()), path.join(hidden(&file.name()))).unwrap();
    }
}

#[test]
fn what_a_dead_writer_left_is_removed_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 3, 2, 4);
    let passages = Passages::new(&codec.params, &[1]);
    for moved in 0..10 {
        let path = directory.path().join(moved.to_string());
        killed_while_moving(&path, moved);
        assert!(Index::open(&path, crate::Check::Structure).is_err(), "there is no index without its manifest");
        let index = write_index(&path, &codec, &passages, None);
        assert_eq!((index.num_passages(), names(&path).len()), (1, 10), "{moved} files moved");
        assert!(names(&path).iter().all(|name| !name.starts_with('.')));
    }

    // A file with other contents is kept, even if it has the name of an index file.
    let path = directory.path().join("stranger");
    killed_while_moving(&path, 3);
    fs::write(path.join("codec-0000"), "precious").unwrap();
    assert!(matches!(Writer::create(&path), Err(Error::Exists { .. })));
    assert_eq!(names(&path), ["codec-0000"]);
}

#[test]
fn a_change_that_was_not_made_costs_no_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    write_index(&path, &codec, &Passages::new(&codec.params, &[2, 0, 4]), None);
    let before = names(&path);
    let leave = || {
        fs::copy(path.join("manifest-0001"), path.join(hidden("manifest-0002"))).unwrap();
        fs::copy(path.join("texts-0001"), path.join("texts-0002")).unwrap();
    };
    leave();
    assert!(matches!(Writer::create(&path), Err(Error::Exists { .. })));
    assert_eq!(names(&path), before);
    leave();
    drop(Writer::open(&path).unwrap());
    assert_eq!(names(&path), before);
    Index::open(&path, crate::Check::Checksums).unwrap();
}

#[test]
fn a_build_that_died_while_moving_left_no_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    killed_while_moving(&path, 3);
    assert!(matches!(Index::open(&path, crate::Check::Structure), Err(Error::NoIndex { .. })));
    assert!(!crate::is_index(&path));
}

#[test]
fn an_index_in_the_place_of_another_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    let build = |doclens: &[u32]| write_index(&path, &codec, &Passages::new(&codec.params, doclens), None);
    let before = build(&[2, 0, 4]);
    fs::remove_dir_all(&path).unwrap();
    build(&[1, 3]);
    let after = before.refreshed(crate::Check::Checksums).unwrap().expect("another index");
    assert_eq!((after.generation(), after.num_passages()), (before.generation(), 2));
    assert!(after.refreshed(crate::Check::Checksums).unwrap().is_none());
}

/// The folder of an unfinished index was deleted, and another one is built there.
#[test]
fn a_writer_that_lost_its_lock_touches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let start = || {
        let mut writer = Writer::create(&path).unwrap();
        writer.set_codec(&codec(8, 3, 2, 4)).unwrap();
        writer
    };
    let finish = |writer: Writer| writer.finish(ManifestInfo::default()).map(drop);
    let (ended, dropped) = (start(), {
        fs::remove_dir_all(&path).unwrap();
        start()
    });
    fs::remove_dir_all(&path).unwrap();
    let last = start();
    let before = names(&path);
    drop(dropped);
    let error = finish(ended).unwrap_err();
    assert!(matches!(error, Error::LockLost { .. }), "{error}");
    assert_eq!(names(&path), before, "the files and the lock of the last writer");
    finish(last).unwrap();
    assert_eq!(names(&path), ["codec-0000", "manifest-0001"]);
}

#[test]
fn one_writer_at_a_time_works_in_a_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let mut first = Writer::create(&path).unwrap();
    first.set_codec(&codec(8, 3, 2, 4)).unwrap();
    let error = Writer::create(&path).unwrap_err();
    assert!(matches!(&error, Error::Locked { path: locked, .. } if *locked == path), "{error}");
    assert_eq!(names(&path), [LOCK_NAME, &hidden("codec-0000")], "the second has removed nothing of the first");
    first.finish(ManifestInfo::default()).unwrap();
    assert_eq!(names(&path), ["codec-0000", "manifest-0001"]);
    crate::check_unlocked(&path).unwrap();
    let writer = Writer::open(&path).unwrap();
    assert!(matches!(crate::check_unlocked(&path), Err(Error::Locked { .. })), "it does not wait");
    drop(writer);
    crate::check_unlocked(&path).unwrap();
}

#[test]
fn changes_of_one_index_at_the_same_time_are_all_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    let mut expected = names(write_index(&path, &codec, &Passages::new(&codec.params, &[2, 0, 4]), None).path());
    let count_up = |count: Option<&serde_json::Value>| (count.map_or(0, |count| count.as_u64().unwrap()) + 1).into();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    crate::write_search(&path, count_up).unwrap();
                    Index::open(&path, crate::Check::Structure).unwrap();
                }
            });
        }
    });
    let index = Index::open(&path, crate::Check::Checksums).unwrap();
    assert_eq!((index.manifest().search.clone(), index.generation()), (Some(40.into()), 41));
    // The readers may have held generations that the next writer deletes.
    crate::check_writable(&path).unwrap();
    expected.iter_mut().filter(|name| *name == "manifest-0001").for_each(|name| *name = "manifest-0041".into());
    assert_eq!(names(&path), expected, "no lock, no partial file and no earlier generation stays");

    let nowhere = directory.path().join("empty");
    fs::create_dir(&nowhere).unwrap();
    assert!(matches!(crate::write_search(&nowhere, |_| 1.into()), Err(Error::NoIndex { .. })));
    assert_eq!(names(&nowhere), [""; 0]);
}

/// Identity of a directory: differs between two directories of the same name.
fn identity(path: &Path) -> impl PartialEq + std::fmt::Debug {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    #[cfg(not(unix))]
    fs::metadata(path).unwrap().created().unwrap()
}

#[test]
fn refused_input_leaves_the_writer_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 0, 0);
    let mut writer = Writer::create(&path).unwrap();
    writer.push_document(&document(0)).unwrap();
    writer.push_document(&document(1)).unwrap();
    for bad in ["", " ", "\t\u{a0}", "a\nb", "a\r", "\0", "a\0"] {
        let error = writer.push_document(&Document { id: bad.into(), ..document(2) }).unwrap_err();
        assert!(matches!(&error, Error::InvalidId { id, pid: 2, .. } if id == bad), "{error}");
        assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
    }
    let error = writer.push_document(&document(0)).unwrap_err();
    assert!(matches!(&error, Error::DuplicateId { id, first: 0, second: 2 } if *id == document(0).id), "{error}");
    let list = Document { id: "list".into(), text: String::new(), metadata: Some(serde_json::json!([1])) };
    assert!(matches!(writer.push_document(&list), Err(Error::Metadata { id }) if id == "list"));
    writer.push_document(&Document { metadata: None, ..list }).unwrap();
    writer.finish_documents().unwrap();
    writer.set_codec(&codec).unwrap();
    let error = writer.push_passages(&[1, 1, 1], &[0, 3, 0], &Packed::default()).unwrap_err();
    assert!(error.to_string().contains("embedding 1 has code 3"), "{error}");
    writer.push_passages(&[1, 1, 1], &[0, 2, 0], &Packed::default()).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    let index = Index::open(&path, crate::Check::Checksums).unwrap();
    assert_eq!(index.id(2).unwrap(), "list");
}

#[test]
#[cfg(unix)]
fn a_failed_write_cannot_be_finished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    let in_the_way = path.join(hidden("codec-0000"));
    fs::write(&in_the_way, "in the way").unwrap();
    assert!(matches!(writer.set_codec(&codec(8, 3, 2, 4)), Err(Error::Io { .. })));
    fs::remove_file(in_the_way).unwrap();
    writer.set_codec(&codec(8, 3, 2, 4)).unwrap();
    assert!(matches!(writer.finish(ManifestInfo::default()), Err(Error::Unfinished)));
    assert!(!path.exists());
}

#[test]
fn sources_are_kept_until_others_are_set() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    let index = write_index(&path, &codec, &Passages::new(&codec.params, &[2, 1, 3]), None);
    assert_eq!(index.sources().unwrap(), None);
    let sources = || Index::open(&path, crate::Check::Structure).unwrap().sources().unwrap();
    let change = |bytes: Option<&[u8]>, id: Option<u32>| {
        let mut writer = Writer::open(&path).unwrap();
        bytes.into_iter().for_each(|bytes| writer.set_sources(bytes).unwrap());
        id.into_iter().for_each(|pid| assert!(writer.delete(&document(pid).id).unwrap()));
        writer.commit().unwrap()
    };
    assert_eq!(change(Some(b"first"), None).generation, 2, "sources alone are a change");
    assert_eq!(sources().as_deref(), Some(&b"first"[..]));
    assert_eq!(change(None, Some(0)).generation, 3);
    assert_eq!(sources().as_deref(), Some(&b"first"[..]), "a change without sources keeps them");
    assert_eq!(change(Some(b""), Some(1)).generation, 4);
    assert_eq!(sources().as_deref(), Some(&b""[..]));
    let refreshed = index.refreshed(crate::Check::Checksums).unwrap().expect("another generation");
    assert_eq!(refreshed.sources().unwrap().as_deref(), Some(&b""[..]));
    drop((index, refreshed));
    drop(Writer::open(&path).unwrap());
    let stored: Vec<_> = names(&path).into_iter().filter(|name| name.starts_with("sources")).collect();
    assert_eq!(stored, [manifest_sources(&path)], "the sources of earlier generations are deleted");
}

fn manifest_sources(path: &Path) -> String {
    let number = Index::open(path, crate::Check::Structure).unwrap().manifest().sources.unwrap().number;
    crate::IndexFile::new(crate::FileKind::Sources, number).name()
}

#[test]
fn what_one_commit_would_lose_is_refused() {
    let misuse: [fn(&mut Writer); 4] = [
        |writer| {
            writer.delete(&document(0).id).unwrap();
            writer.rebuild();
        },
        |writer| {
            writer.push_document(&document(9)).unwrap();
            writer.rebuild();
        },
        |writer| {
            writer.rebuild();
            writer.delete(&document(0).id).unwrap();
        },
        |writer| {
            writer.merge::<Error>(0..1, |_| Ok(())).unwrap();
            writer.delete(&document(0).id).unwrap();
        },
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    write_index(&path, &codec, &Passages::new(&codec.params, &[2, 0, 4]), None);
    let before = names(&path);
    for (number, misuse) in misuse.into_iter().enumerate() {
        let mut writer = Writer::open(&path).unwrap();
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| misuse(&mut writer)));
        assert!(refused.is_err(), "case {number}");
        drop(writer);
        assert_eq!(names(&path), before, "case {number}");
    }
}
