//! Files that a user brings: collections, queries, judgments, arrays.
//!
//! Input: the number of the format in one byte, and the file. Nothing may panic.

#![no_main]

mod seeds;

use libfuzzer_sys::fuzz_target;
use selvedge::collection::{ReadOptions, read};
use selvedge::npy::{NpyFloats, read_lens};
use selvedge::{qrels, query_file};
use std::path::Path;
use std::sync::LazyLock;

/// Name of a file of each format, and its contents as they should be.
const FORMATS: [(&str, &[u8]); 8] = [
    (
        "collection.jsonl",
        b"{\"id\": \"a\", \"text\": \"A red pie.\", \"pages\": 7}\n\
        {\"_id\": \"b\", \"title\": \"x\"}\n",
    ),
    ("collection.tsv", b"a\tA red pie.\nb\tTea\ttitle\r\n"),
    ("folder/notes.md", b"# Pie\n\nA red pie.\n\n```\ncode\n```\n"),
    ("qrels.tsv", b"query-id\tcorpus-id\tscore\nq1\ta\t1\n"),
    ("qrels.trec", b"q1 0 a 1\nq1 0 b -1\n"),
    ("queries.tsv", b"q1\twhat is red\nq2\ttea\n"),
    (
        "rows.npy",
        b"\x93NUMPY\x01\0\x3c\0{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }\n\
        \0\0\0\0\0\0\0\0",
    ),
    (
        "lens.npy",
        b"\x93NUMPY\x01\0\x3a\0{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n\
        \x01\0\0\0\x02\0\0\0",
    ),
];

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let seed = |at: usize| (FORMATS[at].0.replace('/', "-"), [&[at as u8], FORMATS[at].1].concat());
    seeds::write((0..FORMATS.len()).map(seed));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("folder")).expect("a folder");
    folder
});

fuzz_target!(|data: &[u8]| {
    let Some((&format, bytes)) = data.split_first() else { return };
    let format = format as usize % FORMATS.len();
    let path = FOLDER.path().join(FORMATS[format].0);
    std::fs::write(&path, bytes).expect("a file");
    parse(format, &path);
});

fn parse(format: usize, path: &Path) {
    match format {
        0 | 1 => drop(read(path, None, &ReadOptions::default(), |_| Ok(()))),
        2 => {
            let options = ReadOptions { split_words: Some(2), ..ReadOptions::default() };
            drop(read(path.parent().expect("a folder"), None, &options, |_| Ok(())));
        }
        3 | 4 => drop(qrels::Qrels::read(path)),
        5 => drop(query_file::read(path)),
        6 => {
            if let Ok(mut rows) = NpyFloats::open(path) {
                let _ = rows.read_rows(0, rows.num_rows().min(64), &mut Vec::new());
            }
        }
        _ => drop(read_lens(path)),
    }
}
