//! Corrupt files: each is detected and named.

use super::*;
use crate::{Check, Error, FileKind, IndexFile, Limits, Manifest, verify};
use std::fs;
use std::path::PathBuf;

/// The newest manifest of [`tiny`]: the second generation deletes a passage.
pub(super) const MANIFEST: IndexFile = IndexFile { kind: FileKind::Manifest, number: 2 };

/// The codec of [`tiny`].
pub(super) const CODEC: IndexFile = IndexFile { kind: FileKind::Codec, number: 0 };

/// Writes a tiny index with two segments and every kind of file; returns its files in the manifest's order.
pub(super) fn tiny(directory: &Path) -> (PathBuf, Vec<IndexFile>) {
    let path = directory.join("index");
    let codec = codec(8, 3, 2, 4);
    let passages = Passages::new(&codec.params, &[2, 0, 3]);
    write_index(&path, &codec, &passages, Some(Limits { segment_tokens: 3, ..Limits::default() }));
    let manifest = delete(&path, 0);
    assert_eq!((manifest.segments.len(), manifest.file()), (2, MANIFEST));
    let files = manifest.files().into_iter().map(|(file, _)| file);
    (path, std::iter::once(MANIFEST).chain(files).collect())
}

/// Record of what the passages of [`tiny`] were read from.
pub(super) const SOURCES: &[u8] = b"a, b";

/// Deletes a passage of an index, and stores sources.
fn delete(path: &Path, pid: u32) -> Manifest {
    let mut writer = Writer::open(path).unwrap();
    writer.set_sources(SOURCES).unwrap();
    assert!(writer.delete(&document(pid).id).unwrap());
    writer.commit().unwrap()
}

/// Asserts that opening and verifying both name `file`, and that verifying names no other.
pub(super) fn assert_named(path: &Path, file: IndexFile, what: &str) -> Error {
    let broken = path.join(file.name());
    let error = Index::open(path, Check::Checksums).expect_err(what);
    assert_eq!(error.path(), Some(&*broken), "{what}: {error}");
    let report = verify(path).unwrap();
    let named: Vec<_> = report.broken().map(|report| report.file).collect();
    assert_eq!(named, [file], "{what}: {report:?}");
    error
}

#[test]
fn only_changes_that_need_the_codec_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let at = path.join(CODEC.name());
    let mut spoilt = fs::read(&at).unwrap();
    *spoilt.last_mut().unwrap() ^= 1;
    replace(&at, &spoilt);
    let mut writer = Writer::open(&path).unwrap();
    assert!(writer.delete(&document(2).id).unwrap());
    let generation = writer.commit().unwrap().generation;
    let index = Index::open(&path, Check::Structure).unwrap();
    assert_eq!((index.generation(), index.num_passages()), (generation, 1));
    assert!(matches!(index.codec(), Err(Error::Checksum { path, .. }) if path == at));
    let codec = codec(8, 3, 2, 4);
    let mut writer = Writer::open(&path).unwrap();
    let error = Passages::new(&codec.params, &[1]).push_to(&mut writer, &codec.params, 1).unwrap_err();
    assert!(matches!(error, Error::Checksum { path, .. } if path == at));
    assert_eq!(writer.commit().unwrap().generation, generation, "nothing was added");
}

#[test]
fn every_flipped_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    for file in files {
        let at = path.join(file.name());
        let sound = fs::read(&at).unwrap();
        for byte in 0..sound.len() {
            let mut spoilt = sound.clone();
            spoilt[byte] ^= 1 << (byte % 8);
            replace(&at, &spoilt);
            assert_named(&path, file, &format!("{file}, byte {byte}"));
        }
        replace(&at, &sound);
    }
    assert!(verify(&path).unwrap().is_sound());
}

#[test]
fn every_other_length_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    for file in files {
        let at = path.join(file.name());
        let sound = fs::read(&at).unwrap();
        for len in 0..sound.len() {
            replace(&at, &sound[..len]);
            let error = assert_named(&path, file, &format!("{file}, {len} bytes"));
            assert!(matches!(error, Error::Truncated { .. }), "{file}, {len} bytes: {error}");
            assert!(Index::open(&path, Check::Structure).is_err());
        }
        replace(&at, &[&sound[..], &[0]].concat());
        let error = assert_named(&path, file, "one byte more");
        assert!(matches!(error, Error::TrailingBytes { .. }), "{error}");
        replace(&at, &sound);
    }
}

/// Puts a new file under the old name; existing mappings keep the old one.
pub(super) fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Changes the header and corrects its checksum.
fn with_header(bytes: &[u8], at: usize, value: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let crc32 = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc32.to_le_bytes());
    bytes
}

#[test]
fn headers_of_other_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    for file in files {
        let at = path.join(file.name());
        let sound = fs::read(&at).unwrap();
        for version in [1, 5] {
            replace(&at, &with_header(&sound, 8, version));
            // A whole index of a later version is not called broken.
            let error = match file == MANIFEST && version == 5 {
                true => verify(&path).unwrap_err(),
                false => assert_named(&path, file, "version"),
            };
            let is_refused = matches!(error, Error::FormatVersion { found, supported: 4, .. } if found == version);
            assert!(is_refused, "{error}");
        }
        replace(&at, &with_header(&sound, 0, u32::from_le_bytes(*b"PK\x03\x04")));
        let error = assert_named(&path, file, "magic");
        assert!(matches!(error, Error::BadMagic { found, .. } if found == *b"PK\x03\x04EDGE"), "{error}");
        replace(&at, &with_header(&sound, 12, 99));
        let error = assert_named(&path, file, "kind");
        assert!(matches!(error, Error::WrongKind { found: 99, expected, .. } if expected == file.kind), "{error}");
        replace(&at, &with_header(&sound, 16, 77));
        let error = assert_named(&path, file, "number");
        assert!(matches!(error, Error::WrongNumber { found: 77, .. }), "{error}");
        fs::remove_file(&at).unwrap();
        if file == MANIFEST {
            let error = Index::open(&path, Check::Structure).unwrap_err();
            assert!(matches!(&error, Error::NoManifest { path: lost } if *lost == path), "{error}");
            let report = verify(&path).unwrap();
            let [manifest] = report.broken().collect::<Vec<_>>()[..] else { panic!("{report:?}") };
            assert!(matches!(manifest.status, Err(Error::NoManifest { .. })), "{report:?}");
        } else {
            let error = assert_named(&path, file, "missing");
            assert!(matches!(error, Error::MissingFile { .. }), "{error}");
        }
        fs::create_dir(&at).unwrap();
        let error = assert_named(&path, file, "a directory");
        assert!(matches!(error, Error::Io { .. }), "{error}");
        fs::remove_dir(&at).unwrap();
        fs::write(&at, &sound).unwrap();
    }
}

#[test]
fn files_of_another_index_are_noticed_without_reading_them() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    let other = directory.path().join("other");
    let codec = codec(8, 3, 2, 4);
    let mut passages = Passages::new(&codec.params, &[2, 0, 3]);
    passages.codes.iter_mut().for_each(|code| *code = 2 - *code);
    passages.packed.residuals.iter_mut().for_each(|byte| *byte = !*byte);
    write_index(&other, &codec, &passages, Some(Limits { segment_tokens: 3, ..Limits::default() }));
    delete(&other, 1);
    let mut replaced = 0;
    for file in files.into_iter().skip(1) {
        let at = path.join(file.name());
        let (own, foreign) = (fs::read(&at).unwrap(), fs::read(other.join(file.name())).unwrap());
        if own != foreign {
            replace(&at, &foreign);
            assert_named(&path, file, "foreign");
            assert!(matches!(Index::open(&path, Check::Structure), Err(Error::Replaced { .. })), "{file}");
            replace(&at, &own);
            replaced += 1;
        }
    }
    assert!(replaced >= 7, "{replaced}");
}

#[test]
fn all_broken_files_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    let broken = [files[1], files[3], files[7], files[9], files[16], files[17]];
    for file in broken {
        let at = path.join(file.name());
        let mut bytes = fs::read(&at).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        replace(&at, &bytes);
    }
    let named = || verify(&path).unwrap().broken().map(|report| report.file).collect::<Vec<_>>();
    assert_eq!(named(), broken);
    fs::remove_file(path.join(MANIFEST.name())).unwrap();
    let mut expected = vec![IndexFile::manifest(1)];
    expected.extend(broken);
    assert_eq!(named().iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect());
    assert!(matches!(verify(&path.join("nowhere")), Err(Error::NoIndex { .. })));
    assert!(matches!(Index::open(&path.join("nowhere"), Check::Structure), Err(Error::NoIndex { .. })));
    assert!(matches!(Index::open(&path.join("codec-0000"), Check::Structure), Err(Error::NoIndex { .. })));
    let strange = path.join("strange");
    fs::create_dir_all(strange.join("manifest-0001")).unwrap();
    assert!(matches!(Index::open(&strange, Check::Structure), Err(Error::Io { .. })), "it is not absent, but strange");
}

#[test]
fn damaged_bytes_are_not_copied() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    let of_segments =
        |file: &&IndexFile| !matches!(file.kind, FileKind::Manifest | FileKind::Codec | FileKind::Sources);
    for file in files.iter().filter(of_segments) {
        let at = path.join(file.name());
        let sound = fs::read(&at).unwrap();
        let mut spoilt = sound.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        replace(&at, &spoilt);
        let merged = Writer::open(&path).and_then(|mut writer| {
            writer.merge(0..2, |_| Ok::<_, Error>(()))?;
            writer.commit()
        });
        let error = merged.expect_err("a merge of damaged bytes");
        assert_eq!(error.path(), Some(&*at), "{error}");
        replace(&at, &sound);
    }
    assert!(verify(&path).unwrap().is_sound());
}
