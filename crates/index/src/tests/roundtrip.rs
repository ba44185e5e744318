//! Round trips of whole indexes, at awkward sizes.

use super::*;
use crate::{Check, EncoderInfo, FileKind, Limits, verify};
use selvedge_backend::{CodeReader, pack_codes, read_weight};
use std::collections::{BTreeSet, HashMap};

/// Compares every segment's arrays and lists with the passages that were pushed.
fn assert_holds(index: &Index, codec: &CodecParams, passages: &Passages) {
    assert_eq!(index.num_passages() as usize, passages.doclens.len());
    assert_eq!(index.num_tokens() as usize, passages.codes.len());
    let (mut pid, mut token) = (0, 0);
    for segment in index.segments() {
        assert_eq!(segment.first_pid as usize, pid);
        let first_token = token;
        let reader = CodeReader::new(&segment.passages.codes, codec.code_bits());
        let mut lists = vec![BTreeSet::new(); codec.num_centroids()];
        for local in 0..segment.passages.num_passages() {
            let tokens = segment.passages.tokens(local);
            assert_eq!(tokens.len(), passages.doclens[pid] as usize, "passage {pid}");
            assert_eq!(tokens.start, token - first_token);
            for t in tokens {
                assert_eq!(reader.get(t), passages.codes[token]);
                let weight = if codec.weight_bits == 0 { 0 } else { passages.packed.weights[token] };
                assert_eq!(read_weight(&segment.passages.weights, codec.weight_bits, t), weight as usize);
                lists[passages.codes[token] as usize].insert(local as u32);
                token += 1;
            }
            pid += 1;
        }
        let rows = first_token * codec.row_bytes()..token * codec.row_bytes();
        assert_eq!(segment.passages.residuals[..], passages.packed.residuals[rows]);
        assert_eq!(segment.passages.codes[..], pack_codes(&passages.codes[first_token..token], codec.code_bits())[..]);
        let mut decoded = Vec::new();
        for (code, list) in lists.iter().enumerate() {
            segment.lists.decode(code as u32, &mut decoded);
            assert!(decoded.iter().eq(list), "list of {code}");
        }
    }
    assert_eq!(pid, passages.doclens.len());
}

#[test]
fn every_codec_shape_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let doclens: Vec<u32> = (0..67).map(|i| (mix(i) % 9) as u32).collect();
    for (dim, num_centroids, nbits, weight_bits) in
        [(8, 1, 0, 0), (8, 2, 1, 4), (16, 3, 2, 8), (24, 256, 4, 0), (128, 257, 8, 4), (96, 1000, 2, 5), (8, 65, 1, 3)]
    {
        for batch in [1, 5, 100] {
            let codec = codec(dim, num_centroids, nbits, weight_bits);
            let passages = Passages::new(&codec.params, &doclens);
            let path = directory.path().join(format!("{dim}-{num_centroids}-{batch}"));
            let mut writer = Writer::create(&path).unwrap();
            writer.set_codec(&codec).unwrap();
            passages.push_to(&mut writer, &codec.params, batch).unwrap();
            writer.finish(ManifestInfo::default()).unwrap();
            for check in [Check::Structure, Check::Checksums] {
                let index = Index::open(&path, check).unwrap();
                assert_holds(&index, &codec.params, &passages);
                assert_eq!(format!("{:?}", index.codec().unwrap()), format!("{codec:?}"));
            }
            let report = verify(&path).unwrap();
            assert!(report.is_sound(), "{:?}", report.broken().collect::<Vec<_>>());
            assert_eq!(report.files.len(), 2 + 8);
        }
    }
}

#[test]
fn segments_split_between_passages_and_never_inside() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 5, 2, 4);
    let doclens = [3, 4, 3, 0, 0, 25, 1, 9, 0, 10, 11, 0];
    let passages = Passages::new(&codec.params, &doclens);
    for (limit, expected) in [
        (10u32, vec![(0, 10u32, 5), (5, 25, 1), (6, 10, 3), (9, 10, 1), (10, 11, 1), (11, 0, 1)]),
        (1 << 20, vec![(0, 66, 12)]),
        (36, vec![(0, 36, 7), (7, 30, 5)]),
    ] {
        let limits = Limits { segment_tokens: limit, ..Limits::default() };
        let index = write_index(&directory.path().join(limit.to_string()), &codec, &passages, Some(limits));
        let entries = index.manifest().segments.iter().zip(index.segments());
        let found: Vec<_> = entries.map(|(entry, s)| (s.first_pid, entry.num_tokens, entry.count)).collect();
        assert_eq!(found, expected, "limit {limit}");
        assert_holds(&index, &codec.params, &passages);
        assert!(verify(index.path()).unwrap().is_sound());
    }
}

#[test]
fn documents_come_back_one_by_one_and_in_a_row() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 2, 0, 0);
    let passages = Passages::new(&codec.params, &[1; 3000]);
    let limits = Limits { segment_tokens: 1000, ..Limits::default() };
    let index = write_index(&directory.path().join("index"), &codec, &passages, Some(limits));
    assert_eq!(index.segments().len(), 3, "several documents files");
    assert_eq!(index.documents().len(), 3000);
    for pid in (0..3000).rev().step_by(7).chain([0, 2999]) {
        assert_eq!(index.document(pid).unwrap(), document(pid));
        assert_eq!(index.id(pid).unwrap(), document(pid).id);
    }
    let mut reader = index.documents().reader();
    for pid in (0..3000).step_by(11).chain((0..3000).rev().step_by(7)).chain([5, 5, 4, 2999]) {
        assert_eq!(reader.document(pid).unwrap(), document(pid));
        assert_eq!(reader.text(pid).unwrap(), document(pid).text);
        assert_eq!(reader.id(pid).unwrap(), document(pid).id);
    }
    assert!(index.ids().map(Result::unwrap).eq((0..3000).map(|pid| document(pid).id)));
    for range in [0..3000, 0..0, 17..18, 1000..2000, 2990..5000] {
        let found: Vec<_> = index.documents().iter(range.clone()).map(Result::unwrap).collect();
        let expected: Vec<_> = (range.start..range.end.min(3000)).map(document).collect();
        assert!(found == expected, "{range:?}");
    }
    let beyond = index.document(3000).unwrap_err();
    assert!(matches!(beyond, crate::Error::NoSuchPassage { pid: 3000, num_passages: 3000 }), "{beyond}");
}

#[test]
fn ids_find_their_passages() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 2, 0, 0);
    let passages = Passages::new(&codec.params, &[1; 3000]);
    let limits = Limits { segment_tokens: 1000, ..Limits::default() };
    let index = write_index(&directory.path().join("index"), &codec, &passages, Some(limits));
    for pid in 0..3000 {
        assert_eq!(index.pid(&document(pid).id).unwrap(), Some(pid));
    }
    for stranger in ["", "0", "doc/", "doc/0", &document(3000).id, &format!("{} ", document(7).id)] {
        assert_eq!(index.clone().pid(stranger).unwrap(), None, "{stranger:?}");
    }

    let mut writer = Writer::create(&directory.path().join("numbers")).unwrap();
    writer.set_codec(&codec).unwrap();
    passages.push_to(&mut writer, &codec.params, 1000).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    let index = Index::open(&directory.path().join("numbers"), Check::Checksums).unwrap();
    assert!(index.ids().map(Result::unwrap).eq((0..3000).map(|pid| pid.to_string())));
    assert_eq!((index.pid("0").unwrap(), index.pid("2999").unwrap()), (Some(0), Some(2999)));
    for stranger in ["", "3000", "+1", "01", "-1", " 1", "4294967296"] {
        assert_eq!(index.pid(stranger).unwrap(), None, "{stranger:?}");
    }
}

/// Two numbers below 200,000 whose decimal digits have the same hash.
fn colliding() -> [u32; 2] {
    let mut first = HashMap::new();
    let mut collides = |number| first.insert(crate::documents::hash_of(format!("{number}").as_bytes()), number);
    let pair = (0..200_000).find_map(|number| Some([collides(number)?, number]));
    pair.expect("about five pairs among them")
}

#[test]
fn ids_of_the_same_hash_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let pair = colliding().map(|number| number.to_string());
    let codec = codec(8, 2, 0, 0);
    for (name, ids) in [("both", &pair[..]), ("first", &pair[..1]), ("second", &pair[1..])] {
        let path = directory.path().join(name);
        let mut writer = Writer::create(&path).unwrap();
        for id in ids.iter().map(String::as_str).chain(["another"]) {
            writer.push_document(&Document { id: id.into(), ..Document::default() }).unwrap();
        }
        writer.finish_documents().unwrap();
        writer.set_codec(&codec).unwrap();
        writer.push_passages(&vec![0; ids.len() + 1], &[], &Packed::default()).unwrap();
        writer.finish(ManifestInfo::default()).unwrap();
        assert!(verify(&path).unwrap().is_sound());
        let index = Index::open(&path, Check::Checksums).unwrap();
        for id in &pair {
            let expected = ids.iter().position(|other| other == id).map(|pid| pid as u32);
            assert_eq!(index.pid(id).unwrap(), expected, "{id} in {name}");
        }
    }
}

#[test]
fn the_memory_of_ids_is_counted_and_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&directory.path().join("index")).unwrap();
    assert_eq!(writer.bytes_held(), 0);
    let num_ids = 20_000;
    for pid in 0..num_ids {
        writer.push_document(&Document { id: format!("{pid:0100}"), ..Document::default() }).unwrap();
    }
    let held = writer.bytes_held();
    assert!((17 * num_ids..48 * num_ids).contains(&held), "{held}");
    writer.finish_documents().unwrap();
    assert_eq!(writer.bytes_held(), 0);
}

#[test]
fn awkward_documents_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&directory.path().join("index")).unwrap();
    let large = |c: char, n: usize| c.to_string().repeat(n);
    let metadata = Some(serde_json::json!({ "x": 0.1 + 0.2, "tiny": 5e-324, "big": u64::MAX, "\u{0}": {} }));
    let documents = [
        Document { id: "0".into(), ..Document::default() },
        Document { id: large('i', 10_000), text: large('t', 300_000), metadata: metadata.clone() },
        Document { id: " \t\u{1}\u{85}\u{2028}".into(), text: "\n\u{0}\u{10ffff}".into(), metadata: None },
        Document { id: "a".into(), text: large('x', 65_535), metadata: Some(serde_json::json!({})) },
        Document { id: "b".into(), text: large('y', 65_536), metadata },
    ];
    documents.iter().for_each(|document| writer.push_document(document).unwrap());
    let reader = writer.finish_documents().unwrap();
    assert_eq!(reader.len(), documents.len());
    assert!(reader.iter(0..5).map(Result::unwrap).eq(documents.clone()));
    for (pid, document) in documents.iter().enumerate() {
        assert_eq!(&reader.get(pid as u32).unwrap(), document);
    }
}

#[test]
fn an_empty_collection_is_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    assert!(writer.finish_documents().unwrap().is_empty());
    writer.set_codec(&codec(8, 1, 2, 4)).unwrap();
    writer.push_passages(&[], &[], &Packed::default()).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    let index = Index::open(&path, Check::Checksums).unwrap();
    assert_eq!((index.num_passages(), index.num_tokens(), index.segments().len()), (0, 0, 0));
    assert!(index.id(0).is_err() && index.document(0).is_err());
    assert!(verify(&path).unwrap().is_sound());
}

#[test]
fn the_manifest_keeps_what_it_is_told_and_sizes_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    let codec = codec(16, 4, 2, 4);
    writer.set_codec(&codec).unwrap();
    Passages::new(&codec.params, &[2, 3]).push_to(&mut writer, &codec.params, 2).unwrap();
    let info = ManifestInfo {
        encoder: Some(EncoderInfo {
            model: "m".into(),
            fingerprint: "f".into(),
            family: "colbert".into(),
            dim: 16,
            query_maxlen: 32,
            passage_maxlen: 180,
        }),
        build: crate::BuildInfo { seed: u64::MAX, sample_tokens: 5, ..Default::default() },
        search: Some(serde_json::json!({ "nprobe": 4 })),
    };
    writer.finish(info.clone()).unwrap();
    let index = Index::open(&path, Check::Structure).unwrap();
    let manifest = index.manifest();
    assert_eq!((&manifest.encoder, &manifest.build, &manifest.search), (&info.encoder, &info.build, &info.search));
    assert_eq!((index.id(1).unwrap(), index.document(0).unwrap().id), ("1".into(), "0".into()));
    assert_eq!(index.encoder(), info.encoder.as_ref());
    assert_eq!(index.dim(), 16);
    let on_disk: u64 = std::fs::read_dir(&path).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(index.bytes_on_disk().values().sum::<u64>(), on_disk);
    assert_eq!(index.bytes_on_disk()[&FileKind::Residuals], 64 + 5 * 4);
    let not_searched = [FileKind::Documents, FileKind::Ids, FileKind::Columns];
    let not_searched: u64 = not_searched.iter().map(|kind| index.bytes_on_disk()[kind]).sum();
    assert_eq!(index.bytes_per_vector(), (on_disk - not_searched) as f64 / 5.0);
}

#[test]
fn payloads_are_aligned_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let codec = codec(8, 3, 2, 4);
    let index = write_index(&directory.path().join("index"), &codec, &Passages::new(&codec.params, &[5, 6]), None);
    let passages = &index.segments()[0].passages;
    for payload in [&passages.offsets, &passages.codes, &passages.residuals, &passages.weights] {
        assert!((payload.as_ptr() as usize).is_multiple_of(64));
    }
}
