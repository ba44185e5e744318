//! Indexes written by earlier builds are still read, to the last bit.
//!
//! The directories under `frozen/` were made once, from `frozen/passages.jsonl`, and do not change. `v2` is format 2,
//! made by `selvedge index frozen/passages.jsonl INDEX` with these options, and refused until `selvedge upgrade` has
//! converted it; `v3` is format 3, without columns, and `v4` format 4. If a test fails here, the format has changed:
//! raise `FORMAT_VERSION` and say how an old index becomes a new one, or keep reading the old one.
//!
//! | directory | made | opens |
//! |---|---|---|
//! | `v2-selvedge-2` | with `--nbits 2` | once upgraded |
//! | `v2-colbertv2-4` | with `--nbits 4 --codec colbertv2` | once upgraded |
//! | `v2-saturated` | as `v2-colbertv2-4`; table entries are 8.7 to 13 times the limit | no: refused as saturated |
//! | `v3-selvedge-2` | by `Writer`, with codec, documents, codes, residuals and weights of `v2-selvedge-2` | yes |
//! | `v3-changed` | with `--nbits 2`; then a passage added with `selvedge add`, and `pie` deleted | yes |
//! | `v4-changed` | as `v3-changed`, with a date in the metadata of the added passage | yes |
//! | `v4-words` | as `v4-changed`, with words in English | yes; `crates/engine/tests/words.rs` searches it for words |

use selvedge_backend::CodeReader;
use selvedge_codec::CodecKind;
use selvedge_index::{
    Check, Error, FORMAT_VERSION, FileKind, Index, Manifest, Value, Writer, is_index, upgrade, verify, write_search,
};
use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Directory, kind of codec, nbits, and code of the second token of each index.
const INDEXES: [(&str, CodecKind, u8, u32); 3] = [
    ("v2-selvedge-2", CodecKind::Selvedge, 2, 4),
    ("v2-colbertv2-4", CodecKind::ColbertV2, 4, 21),
    ("v3-selvedge-2", CodecKind::Selvedge, 2, 4),
];

/// Number of tokens of each passage.
const DOCLENS: [usize; 3] = [6, 6, 10];

/// Codes of the tokens, which are the same in all indexes except that of the second token.
fn codes(second: u32) -> [u32; 22] {
    [18, second, 0, 11, 6, 4, 7, 9, 20, 3, 10, 16, 19, 8, 14, 17, 1, 15, 13, 2, 12, 5]
}

fn frozen(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(name)
}

fn names(path: &Path) -> Vec<String> {
    let name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(name).collect();
    names.sort();
    names
}

/// A copy of a frozen index, as it is.
fn copy(name: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::create_dir(&path).unwrap();
    for file in names(&frozen(name)) {
        std::fs::copy(frozen(name).join(&file), path.join(&file)).unwrap();
    }
    (directory, path)
}

/// A copy of a frozen index in the present format. One of format 2 is refused by every door before it is upgraded, and
/// is then complete and holds nothing of format 2.
fn present(name: &str) -> (TempDir, PathBuf) {
    let (directory, path) = copy(name);
    assert!(is_index(&path), "{name}");
    if !name.starts_with("v2") {
        assert_eq!(upgrade(&path).unwrap(), None, "{name}");
        assert_eq!(names(&path), names(&frozen(name)), "{name}");
        return (directory, path);
    }
    let refusals = [
        Index::open(&path, Check::Structure).map(drop),
        Index::open(&path, Check::Checksums).map(drop),
        verify(&path).map(drop),
        Writer::open(&path).map(drop),
        write_search(&path, |_| 1.into()),
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert!(matches!(&error, Error::OldFormat { found: 2, .. }), "{error}");
        assert!(error.to_string().ends_with(&format!("convert it: selvedge upgrade {}", path.display())), "{error}");
    }
    assert_eq!(names(&path), names(&frozen(name)), "a refusal leaves {name} as it is");
    let manifest = upgrade(&path).unwrap().expect("a conversion");
    let mut expected: Vec<_> = manifest.files().into_iter().map(|(file, _)| file.name()).collect();
    expected.push(manifest.file().name());
    expected.sort();
    assert_eq!(names(&path), expected, "{name}");
    let is_old = |file: &&str| names(&path).iter().any(|name| name == file || name.starts_with('.'));
    assert_eq!(["manifest", "codec", "documents-0000"].iter().find(|file| is_old(file)), None, "{name}");
    assert_eq!(upgrade(&path).unwrap(), None, "{name}");
    assert_eq!(names(&path), expected, "{name}");
    assert!(is_index(&path), "{name}");
    (directory, path)
}

#[test]
fn frozen_indexes_are_read() {
    for (name, kind, nbits, second) in INDEXES {
        let (_directory, path) = present(name);
        let report = verify(&path).unwrap();
        assert!(report.is_sound(), "{name}: {report:?}");
        let index = Index::open(&path, Check::Checksums).unwrap();
        assert_eq!((index.codec().unwrap().kind, index.codec().unwrap().params.nbits), (kind, nbits), "{name}");
        assert_eq!((index.num_passages(), index.num_tokens(), index.segments().len()), (3, 22, 1), "{name}");
        assert_eq!((index.generation(), index.manifest().num_added, index.num_pids()), (1, 3, 3), "{name}");
        assert!(index.ids().map(Result::unwrap).eq(["pie", "cup of tea", "Himmel"]), "{name}");
        let cup = index.document(1).unwrap();
        assert_eq!(cup.text, "A green tea cup.");
        assert_eq!(cup.metadata, Some(serde_json::json!({ "pages": 7, "tags": ["drink"] })));
        let sky = index.document(2).unwrap();
        assert_eq!((sky.text.as_str(), sky.metadata), ("Blauer Himmel über uns", None));
        assert_eq!(index.pid("Himmel").unwrap(), Some(2));
        assert_eq!(index.sources().unwrap(), None, "{name} was made before sources were stored");
        let segment = &index.segments()[0];
        assert_eq!([0, 1, 2].map(|pid| segment.passages.tokens(pid).len()), DOCLENS, "{name}");
        let reader = CodeReader::new(&segment.passages.codes, index.codec().unwrap().params.code_bits());
        assert_eq!((0..22).map(|token| reader.get(token)).collect::<Vec<_>>(), codes(second), "{name}");
        let mut list = Vec::new();
        segment.lists.decode(second, &mut list);
        assert_eq!(list, [0], "{name}");
        segment.lists.decode(5, &mut list);
        assert_eq!(list, [2], "{name}");
    }
    assert_eq!(FORMAT_VERSION, 4, "a new format needs frozen indexes of its own beside these");
}

#[test]
fn frozen_indexes_that_were_changed_are_read() {
    let metadata = serde_json::json!({ "metadata": { "pages": 1 } });
    changed_is_read("v3-changed", &metadata);
    let mut dated = metadata.clone();
    dated["made"] = "2024-02-29".into();
    changed_is_read("v4-changed", &dated);
    changed_is_read("v4-words", &dated);
}

fn changed_is_read(name: &str, of_spoon: &serde_json::Value) {
    let (_directory, path) = present(name);
    let report = verify(&path).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let index = Index::open(&path, Check::Checksums).unwrap();
    assert_eq!((index.generation(), index.manifest().num_added, index.num_pids()), (3, 4, 4));
    assert_eq!((index.num_passages(), index.num_tokens()), (3, 24));
    assert!(index.ids().map(Result::unwrap).eq(["cup of tea", "Himmel", "spoon"]));
    assert_eq!([index.pid("pie").unwrap(), index.pid("spoon").unwrap()], [None, Some(3)]);
    let spoon = index.document(3).unwrap();
    assert_eq!((&*spoon.text, spoon.metadata.as_ref()), ("A silver spoon for the tea.", Some(of_spoon)));
    let [first, second] = index.segments() else { panic!("two segments") };
    match &second.columns {
        None => assert!(matches!(index.columns(), Err(Error::NoColumns { .. })), "{name}"),
        Some(columns) => {
            assert_eq!(
                index.columns().unwrap().iter().map(|column| &*column.key).collect::<Vec<_>>(),
                ["made", "metadata.pages", "pages", "tags"]
            );
            let day = Value::from("2024-02-29");
            assert_eq!(columns.within("made", Included(&day), Unbounded).unwrap(), [0].into());
        }
    }
    assert!(first.deleted.iter().eq([0]) && second.deleted.is_empty());
    // The second segment has heads for the codes of its 8 tokens alone, of 22.
    let reader = CodeReader::new(&second.passages.codes, index.codec().unwrap().params.code_bits());
    let codes: BTreeSet<u32> = (0..8).map(|token| reader.get(token)).collect();
    for code in 0..22 {
        assert_eq!(second.lists.list_len(code), usize::from(codes.contains(&code)), "{code}");
    }
    let mut writer = Writer::open(&path).unwrap();
    let has_words = name.ends_with("words");
    assert!(index.segments().iter().all(|segment| segment.words.is_some() == has_words), "{name}");
    assert_eq!(index.manifest().language.as_deref(), has_words.then_some("english"), "{name}");
    if has_words {
        let refused = writer.merge::<Error>(0..2, |_| Ok(()));
        return assert!(matches!(refused, Err(Error::WordsNeeded { .. })), "{name}");
    }
    writer.merge::<Error>(0..2, |_| Ok(())).unwrap();
    writer.commit().unwrap();
    let merged = Index::open(&path, Check::Checksums).unwrap();
    assert!(merged.segments().len() == 1 && merged.num_pids() == 3 && verify(&path).unwrap().is_sound());
    // A merge writes the columns that a segment of format 3 lacks.
    let columns = merged.segments()[0].columns.as_ref().unwrap();
    let one = Value::Integer(1);
    assert_eq!(columns.within("metadata.pages", Included(&one), Included(&one)).unwrap(), [2].into());
    assert_eq!(columns.present("tags", None).unwrap(), [0].into());
}

#[test]
fn frozen_bytes_are_kept_by_an_upgrade() {
    for name in ["v2-selvedge-2", "v2-colbertv2-4", "v2-saturated"] {
        let (_directory, path) = present(name);
        for file in ["codes-0000", "lists-0000", "offsets-0000", "residuals-0000", "scales-0000"] {
            let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
            assert_eq!(read(&path), read(&frozen(name)), "{file} of {name}");
        }
    }
}

#[test]
fn a_frozen_index_that_misranks_is_refused_with_the_way_out() {
    let (_directory, path) = present("v2-saturated");
    for check in [Check::Structure, Check::Checksums] {
        let error = Index::open(&path, check).and_then(|index| index.codec().cloned()).unwrap_err();
        assert!(matches!(&error, Error::Saturated { num_centroids: 21, .. }), "{error}");
        assert!(error.to_string().ends_with("build the index anew"), "{error}");
    }
    let report = verify(&path).unwrap();
    assert_eq!(report.broken().map(|report| report.file.kind).collect::<Vec<_>>(), [FileKind::Codec]);
}

#[test]
fn a_frozen_index_takes_new_search_parameters() {
    for (name, ..) in INDEXES {
        let (_directory, path) = present(name);
        let before = Index::open(&path, Check::Checksums).unwrap().manifest().clone();
        write_search(&path, |_| serde_json::json!([{ "k": 10 }])).unwrap();
        let after = Index::open(&path, Check::Checksums).unwrap().manifest().clone();
        assert_eq!(after.search, Some(serde_json::json!([{ "k": 10 }])));
        assert_eq!(after.generation, before.generation + 1);
        let restored = Manifest { search: before.search.clone(), generation: before.generation, ..after };
        assert_eq!(restored, before, "nothing else changed");
    }
}
