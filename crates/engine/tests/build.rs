//! Builds that are refused or fail: the error, and the state of the target folder after it.

#![allow(missing_docs)]

use selvedge::build::{Arrays, from_arrays, from_documents, from_text};
use selvedge::npy::{NpyFloats, NpyWriter, read_lens};
use selvedge::{BuildOptions, Document, EncodeOptions, Encoder, Error, LoadOptions, Progress, Result, Step, encode};
use selvedge_index::{Check, Index};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

const DIM: usize = 8;

static ENCODER: LazyLock<Encoder> =
    LazyLock::new(|| Encoder::load("shipped", &LoadOptions::default()).expect("it is in the crate"));

fn document(id: &str) -> Result<Document> {
    Ok(Document { id: id.into(), text: "a woven edge".into(), metadata: None })
}

/// A folder with arrays of `lengths.len()` passages, each one embedding of that length.
struct Folder {
    dir: tempfile::TempDir,
    arrays: Arrays,
}

impl Folder {
    fn new(lengths: &[f32]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut rows = NpyWriter::create(&at("docs.npy")).unwrap();
        for (number, &length) in lengths.iter().enumerate() {
            let mut row = [0.0f32; DIM];
            row[number % DIM] = length;
            row.iter().for_each(|x| rows.write(&x.to_le_bytes()).unwrap());
        }
        rows.finish("<f4", &[lengths.len(), DIM]).unwrap();
        let mut lens = NpyWriter::create(&at("lens.npy")).unwrap();
        lengths.iter().for_each(|_| lens.write(&1i32.to_le_bytes()).unwrap());
        lens.finish("<i4", &[lengths.len()]).unwrap();
        let arrays = Arrays::npy(at("docs.npy"), at("lens.npy"));
        Self { dir, arrays }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn build(&self, options: &BuildOptions) -> Result<()> {
        from_arrays(&self.arrays, &self.at("index"), options, &()).map(|_| ())
    }
}

#[test]
fn options_out_of_range_are_refused_with_their_value() {
    let folder = Folder::new(&[1.0; 20]);
    let default = BuildOptions::default;
    let bad = [
        (BuildOptions { pool: 0, ..default() }, "pool", "0"),
        (BuildOptions { nbits: 3, ..default() }, "nbits", "3"),
        (BuildOptions { num_centroids: Some(0), ..default() }, "num_centroids", "0"),
        (BuildOptions { num_centroids: Some(1 << 60), ..default() }, "num_centroids", "1152921504606846976"),
    ];
    let path = folder.at("index");
    for (options, name, given) in &bad {
        let refused = [
            folder.build(options),
            from_documents([document("a")], &path, &ENCODER, options, &()).map(|_| ()),
            from_text(&folder.at("none.tsv"), &path, &ENCODER, options, &()).map(|_| ()),
        ];
        for error in refused.map(Result::unwrap_err) {
            let is_right = matches!(&error, Error::BadOption { option, value, .. } if option == name && value == given);
            assert!(is_right, "{error}");
        }
        assert!(!path.exists());
    }
    folder.build(&BuildOptions { pool: 1, num_centroids: Some(1 << 24), memory_budget: 1 << 40, ..default() }).unwrap();
}

/// 3,000 ids take places of 17 bytes, more than the 32 KiB in which passages that are pooled to one token fit.
#[test]
fn ids_count_against_the_memory_budget() {
    let dir = tempfile::tempdir().unwrap();
    let options = BuildOptions { memory_budget: 32 << 10, pool: 512, ..BuildOptions::default() };
    let documents = (0..3000).map(|number| document(&number.to_string()));
    let error = from_documents(documents, &dir.path().join("index"), &ENCODER, &options, &()).unwrap_err();
    assert!(matches!(&error, Error::Budget { budget_bytes: 32_768, what, .. } if what.contains("ids")), "{error}");
}

/// 110,851 of 400,000 passages are sampled, and the only one with a token is not among them.
#[test]
fn a_sample_without_a_token_is_taken_of_all_passages() {
    const PASSAGES: usize = 400_000;
    let folder = Folder::new(&[1.0]);
    let mut lens = NpyWriter::create(&folder.at("lens.npy")).unwrap();
    let mut doclens = vec![0; 4 * PASSAGES];
    doclens[4 * 200_000] = 1;
    lens.write(&doclens).unwrap();
    lens.finish("<i4", &[PASSAGES]).unwrap();
    folder.build(&BuildOptions::default()).unwrap();
    let index = Index::open(&folder.at("index"), Check::Structure).unwrap();
    let build = &index.manifest().build;
    assert_eq!((build.sample_passages, build.sample_tokens), (PASSAGES as u64, 1));
}

#[test]
fn an_embedding_refused_in_training_is_numbered_within_the_sample() {
    let mut lengths = [1.0; 20];
    lengths[13] = 1e20;
    let folder = Folder::new(&lengths);
    let error = folder.build(&BuildOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Sample { .. }), "{error}");
    let said = error.to_string();
    assert!(said.starts_with("of the embeddings sampled for training: embedding "), "{said}");
    assert!(!folder.at("index").exists());
}

/// f16 ends at 65,504, and is zero at 1e-9.
#[test]
fn arrays_are_saved_as_they_came() {
    for lengths in [[1e5, 2e5, 1.5e5], [1e-9, 2e-9, 1.5e-9]] {
        let folder = Folder::new(&lengths);
        let saved = folder.at("saved");
        folder.build(&BuildOptions { save_embeddings: Some(saved.clone()), ..BuildOptions::default() }).unwrap();
        let rows = |path: &Path| {
            let (mut npy, mut rows) = (NpyFloats::open(path).unwrap(), Vec::new());
            npy.read_rows(0, 3, &mut rows).unwrap();
            rows
        };
        assert_eq!(rows(&saved.join("docs.npy")), rows(&folder.arrays.embeddings));
        assert_eq!(read_lens(&saved.join("doclens.npy")).unwrap(), [1; 3]);
        assert_eq!(std::fs::read_to_string(saved.join("ids.txt")).unwrap(), "0\n1\n2\n");
    }
}

#[test]
fn no_index_is_left_if_the_embeddings_cannot_be_saved() {
    let folder = Folder::new(&[1.0; 3]);
    let saved = folder.at("saved");
    std::fs::create_dir_all(saved.join("ids.txt")).unwrap();
    let error = folder.build(&BuildOptions { save_embeddings: Some(saved), ..BuildOptions::default() }).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("ids.txt")), "{error}");
    assert!(!folder.at("index").exists());
}

#[test]
fn a_bad_id_is_named_by_file_and_line() {
    let mut folder = Folder::new(&[1.0; 3]);
    folder.arrays.ids = Some(folder.at("ids.txt"));
    for (ids, bad_line) in [("a\nb\n\na\n", 4), ("a\nb\0\nc\n", 2)] {
        std::fs::write(folder.at("ids.txt"), ids).unwrap();
        let error = folder.build(&BuildOptions::default()).unwrap_err();
        let is_right =
            matches!(&error, Error::RefusedLine { path, line, .. } if path.ends_with("ids.txt") && *line == bad_line);
        assert!(is_right, "{error}");
    }
    std::fs::write(folder.at("ids.txt"), "a\nb\n").unwrap();
    let error = folder.build(&BuildOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Count { expected: 3, found: 2, .. }), "{error}");
}

#[test]
fn encoding_a_missing_or_bad_file_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("bad.tsv"), "a\tone\nno tab\n").unwrap();
    for queries in [false, true] {
        for input in ["missing.tsv", "bad.tsv"] {
            let options = EncodeOptions { queries, ..EncodeOptions::default() };
            assert!(encode(&at(input), &at("out"), &ENCODER, &options, &()).is_err());
            assert!(!at("out").exists(), "{input}");
        }
    }
}

/// Counts of the stage "encode".
#[derive(Default)]
struct Done(Mutex<Vec<u64>>);

impl Progress for Done {
    fn report(&self, step: Step) {
        if step.stage == "encode" {
            self.0.lock().unwrap().push(step.done);
        }
    }
}

/// Blocks end at 1 MiB of text.
#[test]
fn few_long_texts_are_encoded_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("c.tsv");
    let text = "woven ".repeat(100_000);
    std::fs::write(&input, ["a", "b", "c"].map(|id| format!("{id}\t{text}\n")).concat()).unwrap();
    let done = Done::default();
    encode(&input, &dir.path().join("out"), &ENCODER, &EncodeOptions::default(), &done).unwrap();
    let mut counts = done.0.into_inner().unwrap();
    counts.dedup();
    assert_eq!(counts, [0, 2, 3]);
}
