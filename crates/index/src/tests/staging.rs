//! An index is there as a whole or not at all.

use super::*;
use crate::Error;
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
        writer.push_document(&document(0)).unwrap();
        writer.finish_documents().unwrap();
        writer.set_codec(&codec).unwrap();
        passages.push_to(&mut writer, &codec.params, 1).unwrap();
        let mut spool = writer.spool().unwrap();
        spool.push(&[1.0; 100]).unwrap();
        (writer, spool)
    };
    let (writer, spool) = start();
    assert!(!path.exists());
    assert_eq!(names(directory.path()).len(), 1);
    drop((writer, spool));
    assert_eq!(names(directory.path()), [""; 0]);

    let (writer, _spool) = start();
    let error = writer.finish(ManifestInfo::default()).unwrap_err();
    assert!(matches!(error, Error::PassageCount { documents: 1, passages: 3 }), "{error}");
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
        "codec",
        "codes-0000",
        "documents-0000",
        "lists-0000",
        "manifest",
        "offsets-0000",
        "residuals-0000",
        "scales-0000",
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
    write_index(&path, &codec, &passages, None);
    assert!(matches!(Writer::create(&path), Err(Error::Exists { .. })));
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
    for what in ["file", "directory"] {
        let path = directory.path().join(what);
        let mut writer = Writer::create(&path).unwrap();
        writer.set_codec(&codec(8, 3, 2, 4)).unwrap();
        let precious = if what == "file" {
            path.clone()
        } else {
            fs::create_dir(&path).unwrap();
            path.join("precious")
        };
        fs::write(&precious, "precious").unwrap();
        let error = writer.finish(ManifestInfo::default()).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{what}: {error}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    assert_eq!(names(directory.path()), ["directory", "file"]);
}

#[test]
fn refused_input_leaves_the_writer_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 0, 0);
    let mut writer = Writer::create(&path).unwrap();
    writer.push_document(&document(0)).unwrap();
    writer.push_document(&document(1)).unwrap();
    let error = writer.push_document(&document(0)).unwrap_err();
    assert!(matches!(&error, Error::DuplicateId { id, first: 0, second: 2 } if *id == document(0).id), "{error}");
    let list = Document { id: "list".into(), text: String::new(), metadata: Some(serde_json::json!([1])) };
    assert!(matches!(writer.push_document(&list), Err(Error::Metadata { id }) if id == "list"));
    writer.push_document(&Document { metadata: None, ..list }).unwrap();
    writer.set_codec(&codec).unwrap();
    let error = writer.push_passages(&[1, 1, 1], &[0, 3, 0], &Packed::default()).unwrap_err();
    assert!(error.to_string().contains("embedding 1 has code 3"), "{error}");
    writer.push_passages(&[1, 1, 1], &[0, 2, 0], &Packed::default()).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    let index = Index::open(&path, crate::Check::Bytes).unwrap();
    assert_eq!(index.id(2).unwrap(), "list");
}

#[test]
#[cfg(unix)]
fn a_failed_write_cannot_be_finished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    let staging = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    fs::write(staging.join("codec"), "in the way").unwrap();
    assert!(matches!(writer.set_codec(&codec(8, 3, 2, 4)), Err(Error::Io { .. })));
    fs::remove_file(staging.join("codec")).unwrap();
    writer.set_codec(&codec(8, 3, 2, 4)).unwrap();
    assert!(matches!(writer.finish(ManifestInfo::default()), Err(Error::Unfinished)));
    assert!(!path.exists());
}
