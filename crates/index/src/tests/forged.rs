//! Forged files, whose checksums are right: each is refused for what it says, and none causes a panic.

use super::damage::{CODEC, MANIFEST, assert_named, replace, tiny};
use super::*;
use crate::{Check, DeletedEntry, Error, FileEntry, FileKind, IndexFile, Manifest, verify};
use std::fs;

/// Changes a payload and corrects every checksum, as an attacker would.
fn forge(path: &Path, file: IndexFile, change: impl FnOnce(&mut Vec<u8>)) {
    let at = path.join(file.name());
    let mut payload = fs::read(&at).unwrap()[64..].to_vec();
    change(&mut payload);
    let entry = write_framed(path, file, &payload);
    if file.kind == FileKind::Manifest {
        return;
    }
    let mut manifest = manifest_of(path);
    if file.kind == FileKind::Codec {
        manifest.codec.file = entry;
    }
    if let Some(sources) = manifest.sources.as_mut().filter(|_| file.kind == FileKind::Sources) {
        sources.file = entry;
    }
    for segment in &mut manifest.segments {
        let named = match file.kind {
            FileKind::Offsets => &mut segment.offsets,
            FileKind::Codes => &mut segment.codes,
            FileKind::Residuals => &mut segment.residuals,
            FileKind::Weights => &mut segment.weights,
            FileKind::InvertedLists => &mut segment.lists,
            FileKind::Documents => &mut segment.documents,
            FileKind::Ids => &mut segment.ids,
            FileKind::Words => segment.words.as_mut().expect("a segment with words"),
            FileKind::Columns => segment.columns.as_mut().expect("a segment with columns"),
            FileKind::Deleted => {
                let deleted = segment.deleted.iter_mut().filter(|deleted| deleted.number == file.number);
                deleted.for_each(|deleted| deleted.file = entry);
                continue;
            }
            FileKind::Manifest | FileKind::Codec | FileKind::OldDocuments | FileKind::Sources => continue,
        };
        if segment.number == file.number {
            *named = entry;
        }
    }
    write_framed(path, manifest.file(), &serde_json::to_vec(&manifest).unwrap());
}

/// The newest manifest of an index.
fn manifest_of(path: &Path) -> Manifest {
    let storage = crate::Directory::new(path);
    let newest = crate::snapshot::newest_generation(&storage).unwrap();
    Manifest::read(&storage, newest).unwrap().0
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
    let file = |kind| IndexFile::new(kind, 1);
    forge(&path, file(FileKind::Offsets), |offsets| offsets[4] = 3);
    let error = assert_named(&path, file(FileKind::Offsets), "descending offsets");
    assert!(matches!(error, Error::Contents { .. }), "{error}");
    forge(&path, file(FileKind::Offsets), |offsets| offsets[4] = 2);
    forge(&path, file(FileKind::Codes), |codes| codes[0] |= 3);
    let error = assert_named(&path, file(FileKind::Codes), "a code without centroid");
    assert!(error.to_string().contains("code 3"), "{error}");
    assert_eq!(files.len(), 20);
}

#[test]
fn forged_columns_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let columns = IndexFile::new(FileKind::Columns, 1);
    // The last digits are of the directory's length, and before it is the directory.
    forge(&path, columns, |payload| *payload.first_mut().unwrap() ^= 1);
    let report = verify(&path).unwrap();
    let broken: Vec<_> = report.broken().map(|file| file.file).collect();
    assert_eq!(broken, [columns], "{report:?}");
    forge(&path, columns, |payload| payload.truncate(3));
    let error = assert_named(&path, columns, "columns that are cut");
    assert!(matches!(error, Error::Columns { .. }), "{error}");
}

#[test]
fn a_forged_table_of_ids_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let file = IndexFile::new(FileKind::Ids, 1);
    // Two hashes, then two pids.
    forge(&path, file, |table| table[8..].rotate_left(4));
    assert_eq!(Index::open(&path, Check::Checksums).unwrap().pid(&document(1).id).unwrap(), None);
    let report = verify(&path).unwrap();
    let broken: Vec<_> = report.broken().collect();
    assert_eq!(broken.len(), 1);
    assert!(matches!(broken[0].status, Err(Error::IdTable { .. })) && broken[0].file == file, "{broken:?}");
}

#[test]
fn deleted_passages_that_do_not_fit_their_segment_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let file = IndexFile::new(FileKind::Deleted, 4);
    let cases: [(&[u32], &str); 3] = [
        (&[2], "holds a passage after the segment's last"),
        (&[0, 1], "holds another number of passages than the manifest says"),
        (&[0, 1 << 16], "not a bitmap of this segment's passages"),
    ];
    for (pids, reason) in cases {
        let set: roaring::RoaringBitmap = pids.iter().collect();
        forge(&path, file, |payload| {
            payload.clear();
            set.serialize_into(payload).unwrap();
        });
        let error = assert_named(&path, file, reason);
        assert!(matches!(&error, Error::Deleted { what, .. } if *what == reason), "{error}");
    }
    forge(&path, file, |payload| payload.truncate(7));
    assert!(matches!(assert_named(&path, file, "too short"), Error::Deleted { .. }));
}

#[test]
fn a_list_of_the_right_length_with_another_passage_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let codec = codec(8, 3, 2, 4);
    let index = write_index(&path, &codec, &Passages::new(&codec.params, &[1, 0, 0]), None);
    let file = IndexFile::new(FileKind::InvertedLists, 1);
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
    let sound = manifest_of(&path);
    let mut segments = sound.clone();
    segments.segments[1].number = 1;
    let mut deleted = sound.clone();
    deleted.segments[1].deleted = sound.segments[0].deleted;
    for (manifest, file) in [(segments, "offsets-0001"), (deleted, "deleted-0004")] {
        write_framed(&path, MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        let error = Index::open(&path, Check::Structure).unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{error}");
        assert!(error.to_string().ends_with(&format!("{file} is named twice")), "{error}");
    }
}

/// Change of a manifest.
type Change = Box<dyn Fn(&mut Manifest)>;

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let sound = manifest_of(&path);
    let deleted = sound.segments[0].deleted.unwrap();
    let with_deleted =
        |deleted: DeletedEntry| move |manifest: &mut Manifest| manifest.segments[0].deleted = Some(deleted);
    let cases: [(Change, &str); 6] = [
        (Box::new(|manifest| manifest.next_number = u32::MAX), "files or passages have come to their end"),
        (Box::new(|manifest| manifest.generation = 3), "is of generation 3"),
        (Box::new(|manifest| manifest.next_number = 4), "deleted-0004 has a number above the last, 4"),
        (Box::new(|manifest| manifest.segments[1].count = u32::MAX - 1), "more passages than there are pids"),
        (Box::new(with_deleted(DeletedEntry { count: 3, ..deleted })), "of segment 1 more is deleted than it has"),
        (Box::new(with_deleted(DeletedEntry { num_tokens: 3, ..deleted })), "of segment 1 more is deleted than it has"),
    ];
    for (change, reason) in cases {
        let mut manifest = sound.clone();
        change(&mut manifest);
        write_framed(&path, MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        let error = assert_named(&path, MANIFEST, reason);
        assert!(matches!(error, Error::Manifest { .. }) && error.to_string().ends_with(reason), "{error}");
        let is_written = manifest.write(&crate::Memory::new()).is_ok();
        assert_eq!(is_written, manifest.generation != 2, "a writer commits none that a reader refuses: {reason}");
    }
}

#[test]
fn a_block_that_ends_after_the_last_document_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let file = IndexFile::new(FileKind::Documents, 1);
    // The last directory entry, of the bodies, is followed by the trailer of 16 bytes; its last field is the count.
    forge(&path, file, |payload| {
        let at = payload.len() - 16 - 4;
        assert_eq!(payload[at..at + 4], [2, 0, 0, 0]);
        payload[at] = 3;
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
    let file = IndexFile::new(FileKind::Documents, 1);
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
    assert_eq!(index.saturated_centroids().unwrap(), 0);
    let params = &index.codec().unwrap().params;
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
        forge(&path, CODEC, |payload| payload[32..36].copy_from_slice(&(step as f32).to_le_bytes()));
    };
    saturate(entries[2]);
    assert_eq!(Index::open(&path, Check::Structure).unwrap().saturated_centroids().unwrap(), 1);
    assert!(verify(&path).unwrap().is_sound(), "the bytes are whole and the other passages are ranked right");
    saturate(entries[0]);
    let error = assert_named(&path, CODEC, "saturated");
    assert!(matches!(error, Error::Saturated { num_centroids: 3, .. }), "{error}");
    assert!(error.to_string().ends_with("build the index anew"), "{error}");
    assert!(matches!(Index::open(&path, Check::Structure).unwrap().codec(), Err(Error::Saturated { .. })));
}

#[test]
fn lists_that_are_not_those_of_the_codes_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let index = Index::open(&path, Check::Structure).unwrap();
    let file = IndexFile::new(FileKind::InvertedLists, 2);
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
        let manifest = fs::read(path.join(MANIFEST.name())).unwrap();
        for byte in 0..sound.len() - 64 {
            forge(&path, file, |payload| payload[byte] = [payload[byte] ^ 1, 0, 0x7f, 0xff][byte % 4]);
            let _ = verify(&path);
            if let Ok(index) = Index::open(&path, Check::Checksums) {
                use_everything(&index);
            }
            if let Ok(index) = Index::open(&path, Check::Structure) {
                index.documents().iter(0..index.num_pids()).for_each(drop);
                (0..4).for_each(|pid| drop(index.pid(&document(pid).id)));
            }
            replace(&path.join(MANIFEST.name()), &manifest);
        }
        replace(&path.join(file.name()), &sound);
        replace(&path.join(MANIFEST.name()), &manifest);
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
    drop(index.sources());
    (0..index.num_pids()).for_each(|pid| drop(index.document(pid)));
    (0..4).for_each(|pid| drop(index.pid(&document(pid).id)));
    assert!(index.pids().all(|pid| pid < index.num_pids()));
    assert_eq!(index.ids().count(), index.num_passages() as usize);
}

#[test]
fn verifying_compares_the_deleted_passages_with_the_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = tiny(directory.path());
    let codec = codec(8, 3, 2, 4);
    let mut writer = Writer::open(&path).unwrap();
    writer.push_document(&document(0)).unwrap();
    writer.finish_documents().unwrap();
    Passages::new(&codec.params, &[1]).push_to(&mut writer, &codec.params, 1).unwrap();
    let manifest = writer.commit().unwrap();
    assert!(verify(&path).unwrap().is_sound(), "the passage that had the id is deleted");
    let forged = |spoil: &dyn Fn(&mut Option<DeletedEntry>)| {
        let mut manifest = manifest.clone();
        manifest
            .segments
            .iter_mut()
            .map(|segment| &mut segment.deleted)
            .filter(|deleted| deleted.is_some())
            .for_each(spoil);
        write_framed(&path, manifest.file(), &serde_json::to_vec(&manifest).unwrap());
        let report = verify(&path).unwrap();
        let broken: Vec<_> = report.broken().collect();
        assert!(broken.len() == 1 && broken[0].file == manifest.file(), "{broken:?}");
        broken[0].status.as_ref().unwrap_err().to_string()
    };
    let error = forged(&|deleted| deleted.as_mut().unwrap().num_tokens = 1);
    assert!(error.ends_with("2 tokens of segment 1 are deleted, not 1"), "{error}");
    let error = forged(&|deleted| *deleted = None);
    assert!(error.ends_with(&format!("two passages that are not deleted have the id {:?}", document(0).id)), "{error}");
}
