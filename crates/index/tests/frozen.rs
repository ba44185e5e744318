//! Indexes written by earlier builds are still read, to the last bit.
//!
//! The directories under `frozen/` were made once, by `selvedge index frozen/passages.jsonl INDEX` with these options,
//! and do not change. If a test fails here, the format has changed: raise `FORMAT_VERSION` and say how an old index
//! becomes a new one, or keep reading the old one.
//!
//! | directory | options | opens |
//! |---|---|---|
//! | `v2-selvedge-2` | `--nbits 2` | yes |
//! | `v2-colbertv2-4` | `--nbits 4 --codec colbertv2` | yes |
//! | `v2-saturated` | as `v2-colbertv2-4`; table entries are 8.7 to 13 times the limit | no: refused as saturated |

use selvedge_backend::CodeReader;
use selvedge_codec::CodecKind;
use selvedge_index::{Check, Error, FORMAT_VERSION, FileKind, Index, verify, write_search};
use std::path::{Path, PathBuf};

/// Directory, kind of codec, nbits, and code of the second token of each index.
const INDEXES: [(&str, CodecKind, u8, u32); 2] =
    [("v2-selvedge-2", CodecKind::Selvedge, 2, 4), ("v2-colbertv2-4", CodecKind::ColbertV2, 4, 21)];

/// Number of tokens of each passage.
const DOCLENS: [usize; 3] = [6, 6, 10];

/// Codes of the tokens, which are the same in all indexes except that of the second token.
fn codes(second: u32) -> [u32; 22] {
    [18, second, 0, 11, 6, 4, 7, 9, 20, 3, 10, 16, 19, 8, 14, 17, 1, 15, 13, 2, 12, 5]
}

fn frozen(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(name)
}

#[test]
fn frozen_indexes_are_read() {
    for (name, kind, nbits, second) in INDEXES {
        let path = frozen(name);
        let report = verify(&path).unwrap();
        assert!(report.is_sound(), "{name}: {report:?}");
        let index = Index::open(&path, Check::Checksums).unwrap();
        assert_eq!((index.codec().kind, index.codec().params.nbits), (kind, nbits), "{name}");
        assert_eq!((index.num_passages(), index.num_tokens(), index.segments().len()), (3, 22, 1), "{name}");
        assert!(index.ids().map(Result::unwrap).eq(["pie", "cup of tea", "Himmel"]), "{name}");
        let cup = index.document(1).unwrap();
        assert_eq!(cup.text, "A green tea cup.");
        assert_eq!(cup.metadata, Some(serde_json::json!({ "pages": 7, "tags": ["drink"] })));
        let sky = index.document(2).unwrap();
        assert_eq!((sky.text.as_str(), sky.metadata), ("Blauer Himmel über uns", None));
        assert_eq!(index.pid("Himmel").unwrap(), Some(2));
        let segment = &index.segments()[0];
        assert_eq!([0, 1, 2].map(|pid| segment.passages.tokens(pid).len()), DOCLENS, "{name}");
        let reader = CodeReader::new(&segment.passages.codes, index.codec().params.code_bits());
        assert_eq!((0..22).map(|token| reader.get(token)).collect::<Vec<_>>(), codes(second), "{name}");
        let mut list = Vec::new();
        segment.lists.decode(second, &mut list);
        assert_eq!(list, [0], "{name}");
        segment.lists.decode(5, &mut list);
        assert_eq!(list, [2], "{name}");
    }
    assert_eq!(FORMAT_VERSION, 2, "a new format needs frozen indexes of its own beside these");
}

#[test]
fn a_frozen_index_that_misranks_is_refused_with_the_way_out() {
    let path = frozen("v2-saturated");
    for check in [Check::Structure, Check::Checksums] {
        let error = Index::open(&path, check).unwrap_err();
        assert!(matches!(&error, Error::Saturated { num_centroids: 21, .. }), "{error}");
        assert!(error.to_string().ends_with("build the index anew"), "{error}");
    }
    let report = verify(&path).unwrap();
    assert_eq!(report.broken().map(|report| report.file.kind).collect::<Vec<_>>(), [FileKind::Codec]);
}

#[test]
fn a_frozen_index_takes_new_search_parameters() {
    let directory = tempfile::tempdir().unwrap();
    for (name, ..) in INDEXES {
        let copy = directory.path().join(name);
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(frozen(name)).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        let before = Index::open(&copy, Check::Checksums).unwrap().manifest().clone();
        write_search(&copy, |_| serde_json::json!([{ "k": 10 }])).unwrap();
        let after = Index::open(&copy, Check::Checksums).unwrap().manifest().clone();
        assert_eq!(after.search, Some(serde_json::json!([{ "k": 10 }])));
        assert_eq!(selvedge_index::Manifest { search: before.search.clone(), ..after }, before, "nothing else changed");
    }
}
