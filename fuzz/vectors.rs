//! Embeddings in an `.npz` or `.safetensors` file, and the ids beside them.
//!
//! Input: one byte, whose lowest bit chooses the format, and the next one the kind of texts; then the file. It is
//! opened, and all rows and ids are read. Nothing may panic.

#![no_main]

mod seeds;

use libfuzzer_sys::fuzz_target;
use selvedge_bridges::Result;
use selvedge_bridges::vectors::{Container, Texts, Vectors};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const FIXTURES: [&str; 8] = [
    "matrix.npz",
    "bytes.npz",
    "numbers.npz",
    "per-text.npz",
    "queries.npz",
    "matrix.safetensors",
    "metadata.safetensors",
    "per-text.safetensors",
];

static FILES: LazyLock<(tempfile::TempDir, [PathBuf; 2])> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/bridges/tests/fixtures/vectors");
    let seed = |name: &str| {
        let choice = u8::from(name.ends_with("safetensors")) | u8::from(name.starts_with("queries")) << 1;
        (name.to_owned(), [&[choice], std::fs::read(fixtures.join(name)).expect("a fixture").as_slice()].concat())
    };
    seeds::write(FIXTURES.into_iter().map(seed));
    let folder = tempfile::tempdir().expect("a folder");
    let paths = ["a.npz", "a.safetensors"].map(|name| folder.path().join(name));
    (folder, paths)
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let path = &FILES.1[usize::from(choice & 1)];
    std::fs::write(path, bytes).expect("a file");
    _ = read(path, if choice & 2 == 0 { Texts::Passages } else { Texts::Queries });
});

fn read(path: &Path, texts: Texts) -> Result<()> {
    let mut vectors = Vectors::open(path, Container::of(path).expect("a known ending"), texts)?;
    let mut rows = Vec::new();
    vectors.read(0..vectors.offsets().len() - 1, &mut rows)?;
    assert_eq!(rows.len() as u64, vectors.offsets().last().unwrap() * vectors.dim() as u64);
    vectors.ids()?.into_iter().flatten().try_for_each(|id| id.map(drop))
}
