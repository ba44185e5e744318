//! Corrupt and forged files: each is detected and named.

use super::*;
use crate::{Check, Error, FileEntry, FileKind, IndexFile, Limits, verify};
use std::fs;
use std::path::PathBuf;

/// Writes a tiny index with two segments and every kind of file; returns its files in the manifest's order.
fn tiny(directory: &Path) -> (PathBuf, Vec<IndexFile>) {
    let path = directory.join("index");
    let codec = codec(8, 3, 2, 4);
    let passages = Passages::new(&codec.params, &[2, 0, 3]);
    let limits = Limits { segment_tokens: 3, documents_bytes: 1 << 20 };
    let index = write_index(&path, &codec, &passages, Some(limits));
    assert_eq!(index.segments().len(), 2);
    let files = index.manifest().files().into_iter().map(|(file, _)| file);
    let files = std::iter::once(IndexFile::MANIFEST).chain(files).collect();
    (path, files)
}

/// Asserts that opening and verifying both name `file`, and that verifying names no other.
fn assert_named(path: &Path, file: IndexFile, what: &str) -> Error {
    let broken = path.join(file.name());
    let error = Index::open(path, Check::Checksums).expect_err(what);
    assert_eq!(error.path(), Some(&*broken), "{what}: {error}");
    let report = verify(path).unwrap();
    let named: Vec<_> = report.broken().map(|report| report.file).collect();
    assert_eq!(named, [file], "{what}: {report:?}");
    error
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
fn replace(path: &Path, bytes: &[u8]) {
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
        replace(&at, &with_header(&sound, 8, 1));
        let error = assert_named(&path, file, "version");
        assert!(matches!(error, Error::FormatVersion { found: 1, supported: 2, .. }), "{error}");
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
        let error = assert_named(&path, file, "missing");
        assert!(matches!(error, Error::MissingFile { .. }), "{error}");
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
    write_index(&other, &codec, &passages, Some(Limits { segment_tokens: 3, documents_bytes: 1 << 20 }));
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
    assert!(replaced >= 6, "{replaced}");
}

#[test]
fn all_broken_files_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    let broken = [files[1], files[3], files[9]];
    for file in broken {
        let at = path.join(file.name());
        let mut bytes = fs::read(&at).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        replace(&at, &bytes);
    }
    let named = || verify(&path).unwrap().broken().map(|report| report.file).collect::<Vec<_>>();
    assert_eq!(named(), broken);
    fs::remove_file(path.join("manifest")).unwrap();
    let mut expected = vec![IndexFile::MANIFEST];
    expected.extend(broken);
    assert_eq!(named().iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect());
    assert!(matches!(verify(&path.join("nowhere")), Err(Error::NoIndex { .. })));
    assert!(matches!(Index::open(&path.join("nowhere"), Check::Structure), Err(Error::NoIndex { .. })));
    assert!(matches!(Index::open(&path.join("codec"), Check::Structure), Err(Error::NoIndex { .. })));
    let strange = path.join("strange");
    fs::create_dir_all(strange.join("manifest")).unwrap();
    assert!(matches!(Index::open(&strange, Check::Structure), Err(Error::Io { .. })), "it is not absent, but strange");
}

/// Changes a payload and corrects every checksum, as an attacker would.
fn forge(path: &Path, file: IndexFile, change: impl FnOnce(&mut Vec<u8>)) {
    let at = path.join(file.name());
    let mut payload = fs::read(&at).unwrap()[64..].to_vec();
    change(&mut payload);
    let entry = write_framed(path, file, &payload);
    if file == IndexFile::MANIFEST {
        return;
    }
    let (mut manifest, _) = crate::Manifest::read(&crate::Directory::new(path)).unwrap();
    for segment in manifest.segments.iter_mut().filter(|segment| segment.number == file.number) {
        match file.kind {
            FileKind::Offsets => segment.offsets = entry,
            FileKind::Codes => segment.codes = entry,
            FileKind::Residuals => segment.residuals = entry,
            FileKind::Weights => segment.weights = entry,
            FileKind::InvertedLists => segment.lists = entry,
            _ => {}
        }
    }
    match file.kind {
        FileKind::Codec => manifest.codec.file = entry,
        FileKind::Documents => manifest.documents[0].file = entry,
        _ => {}
    }
    write_framed(path, IndexFile::MANIFEST, &serde_json::to_vec(&manifest).unwrap());
}

/// Replaces a file, without syncing it to disk.
fn write_framed(path: &Path, file: IndexFile, payload: &[u8]) -> FileEntry {
    let crc32 = crc32fast::hash(payload);
    let header = crate::framed_file::header(file, payload.len() as u64, crc32);
    replace(&path.join(file.name()), &[&header, payload].concat());
    FileEntry { bytes: 64 + payload.len() as u64, crc32 }
}

#[test]
fn forged_files_are_refused_for_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    let file = |kind| IndexFile::new(kind, 0);
    forge(&path, file(FileKind::Offsets), |offsets| offsets[4] = 3);
    let error = assert_named(&path, file(FileKind::Offsets), "descending offsets");
    assert!(matches!(error, Error::Contents { .. }), "{error}");
    forge(&path, file(FileKind::Offsets), |offsets| offsets[4] = 2);
    forge(&path, file(FileKind::Codes), |codes| codes[0] |= 3);
    let error = assert_named(&path, file(FileKind::Codes), "a code without centroid");
    assert!(error.to_string().contains("code 3"), "{error}");
    assert_eq!(files.len(), 13);
}

#[test]
fn a_list_of_the_right_length_with_another_passage_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    let index = write_index(&path, &codec, &Passages::new(&codec.params, &[1, 0, 0]), None);
    let file = IndexFile::new(FileKind::InvertedLists, 0);
    let lists = &index.segments()[0].lists;
    let mut encoder = crate::lists::ListsEncoder::new(3);
    // Passage 0 has the only token; the forged list holds the empty passage 2 instead.
    (0..3).for_each(|code| encoder.push(if lists.list_len(code) == 1 { &[2] } else { &[] }));
    forge(&path, file, |payload| *payload = encoder.into_payload().to_vec());
    let report = verify(&path).unwrap();
    let broken: Vec<_> = report.broken().collect();
    assert_eq!(broken.len(), 1);
    assert!(matches!(broken[0].status, Err(Error::ListMismatch { .. })) && broken[0].file == file, "{broken:?}");
}

#[test]
fn a_manifest_that_names_a_file_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let (sound, _) = crate::Manifest::read(&crate::Directory::new(&path)).unwrap();
    let mut segments = sound.clone();
    segments.segments[1].number = 0;
    let mut documents = sound;
    let whole = documents.documents[0];
    documents.documents = vec![
        crate::DocumentsEntry { count: 1, ..whole },
        crate::DocumentsEntry { first_pid: 1, count: whole.count - 1, ..whole },
    ];
    for (manifest, file) in [(segments, "offsets-0000"), (documents, "documents-0000")] {
        write_framed(&path, IndexFile::MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        let error = Index::open(&path, Check::Structure).unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{error}");
        assert!(error.to_string().ends_with(&format!("{file} is named twice")), "{error}");
    }
}

#[test]
fn a_block_that_ends_after_the_last_document_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let file = IndexFile::new(FileKind::Documents, 0);
    // The last directory entry, of the bodies, is followed by the trailer of 16 bytes; its last field is the count.
    forge(&path, file, |payload| {
        let at = payload.len() - 16 - 4;
        assert_eq!(payload[at..at + 4], [3, 0, 0, 0]);
        payload[at] = 4;
    });
    let report = verify(&path).unwrap();
    assert_eq!(report.broken().map(|report| report.file).collect::<Vec<_>>(), [file]);
    let error = Index::open(&path, Check::Checksums).unwrap().document(0).unwrap_err();
    assert!(matches!(&error, Error::Documents { what: "no block has this document", .. }), "{error}");
}

#[test]
fn a_block_that_claims_more_than_a_block_can_hold_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let file = IndexFile::new(FileKind::Documents, 0);
    // The last directory entry: start (8 bytes), bytes, unpacked bytes, first, count; then 16 bytes of trailer.
    forge(&path, file, |payload| {
        let at = payload.len() - 16 - 12;
        payload[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    });
    let error = Index::open(&path, Check::Checksums).unwrap().document(0).unwrap_err();
    assert!(matches!(&error, Error::Documents { what: "larger than a block can be", .. }), "{error}");
    assert_eq!(verify(&path).unwrap().broken().map(|report| report.file).collect::<Vec<_>>(), [file]);
}

#[test]
fn a_codec_whose_centroids_all_saturate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let index = Index::open(&path, Check::Checksums).unwrap();
    assert_eq!(index.saturated_centroids(), 0);
    let params = &index.codec().params;
    // The entry of each centroid for a query of its own direction, at a table factor of 1.
    let mut entries: Vec<f64> = params
        .centroids
        .chunks_exact(params.dim)
        .map(|row| row.iter().map(|&c| f64::from(c)).fold((0.0f64, 0.0), |(m, s), c| (m.max(c.abs()), s + c * c)))
        .map(|(max, squares)| 127.0 / max * squares)
        .collect();
    entries.sort_by(f64::total_cmp);
    // Makes a centroid with this entry exceed the limit by 1 %.
    let saturate = |entry: f64| {
        let factor = f64::from(selvedge_backend::TABLE_LIMIT) * 1.01 / entry;
        let step = f64::from(params.centroid_scale * params.centroid_weight_step) / factor;
        forge(&path, IndexFile::CODEC, |payload| payload[32..36].copy_from_slice(&(step as f32).to_le_bytes()));
    };
    saturate(entries[2]);
    assert_eq!(Index::open(&path, Check::Structure).unwrap().saturated_centroids(), 1);
    assert!(verify(&path).unwrap().is_sound(), "the bytes are whole and the other passages are ranked right");
    saturate(entries[0]);
    let error = assert_named(&path, IndexFile::CODEC, "saturated");
    assert!(matches!(error, Error::Saturated { num_centroids: 3, .. }), "{error}");
    assert!(error.to_string().ends_with("build the index anew"), "{error}");
    assert!(matches!(Index::open(&path, Check::Structure), Err(Error::Saturated { .. })));
}

#[test]
fn lists_that_are_not_those_of_the_codes_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let index = Index::open(&path, Check::Structure).unwrap();
    let file = IndexFile::new(FileKind::InvertedLists, 1);
    let mut encoder = crate::lists::ListsEncoder::new(1);
    let mut list = Vec::new();
    for code in 0..3 {
        index.segments()[1].lists.decode(code, &mut list);
        encoder.push(if code < 2 || !list.is_empty() { &[] } else { &[0] });
    }
    forge(&path, file, |payload| *payload = encoder.into_payload().to_vec());
    assert!(Index::open(&path, Check::Checksums).is_ok(), "only a comparison with the codes detects it");
    let report = verify(&path).unwrap();
    let broken: Vec<_> = report.broken().collect();
    assert_eq!(broken.len(), 1);
    assert!(matches!(broken[0].status, Err(Error::ListMismatch { .. })) && broken[0].file == file, "{broken:?}");
}

#[test]
fn forged_bytes_never_panic() {
    let directory = tempfile::tempdir().unwrap();
    let (path, files) = tiny(directory.path());
    for file in files {
        let sound = fs::read(path.join(file.name())).unwrap();
        let manifest = fs::read(path.join("manifest")).unwrap();
        for byte in 0..sound.len() - 64 {
            forge(&path, file, |payload| payload[byte] = [payload[byte] ^ 1, 0, 0x7f, 0xff][byte % 4]);
            let _ = verify(&path);
            if let Ok(index) = Index::open(&path, Check::Checksums) {
                use_everything(&index);
            }
            if let Ok(index) = Index::open(&path, Check::Structure) {
                index.documents().iter(0..index.num_passages()).for_each(drop);
            }
            replace(&path.join("manifest"), &manifest);
        }
        replace(&path.join(file.name()), &sound);
        replace(&path.join("manifest"), &manifest);
    }
    assert!(verify(&path).unwrap().is_sound());
}

fn use_everything(index: &Index) {
    for segment in index.segments() {
        for code in 0..segment.lists.num_lists() as u32 {
            segment.lists.for_each(code, |pid| assert!((pid as usize) < segment.passages.num_passages()));
        }
        (0..segment.passages.num_passages()).for_each(|pid| assert!(segment.passages.tokens(pid).len() <= 3));
    }
    (0..index.num_passages()).for_each(|pid| drop(index.document(pid)));
}
