//! Embeddings in files that NumPy and safetensors wrote, and in hostile ones.

use crate::support::fixture;
use selvedge_bridges::vectors::{Container, Texts, Vectors};
use selvedge_bridges::{Error, Result};
use std::path::Path;

fn open(path: &Path, texts: Texts) -> Result<Vectors> {
    Vectors::open(path, Container::of(path).unwrap(), texts)
}

/// Dimension, rows per text, rows, and ids.
type All = (usize, Vec<u64>, Vec<f32>, Option<Vec<String>>);

/// Reads everything.
fn read(path: &Path, texts: Texts) -> Result<All> {
    let mut vectors = open(path, texts)?;
    let offsets = vectors.offsets().to_vec();
    let mut rows = Vec::new();
    // Texts one by one, from the last.
    for text in (0..offsets.len() - 1).rev() {
        let mut own = Vec::new();
        vectors.read(text..text + 1, &mut own)?;
        rows.splice(0..0, own);
    }
    let mut at_once = Vec::new();
    vectors.read(0..offsets.len() - 1, &mut at_once)?;
    assert!(at_once.iter().zip(&rows).all(|(a, b)| a.to_bits() == b.to_bits()) && at_once.len() == rows.len());
    let ids = vectors.ids()?.map(Iterator::collect::<Result<Vec<_>>>).transpose()?;
    Ok((vectors.dim(), offsets.windows(2).map(|pair| pair[1] - pair[0]).collect(), rows, ids))
}

/// The rows of `fixtures/vectors/make.py`.
fn expected() -> Vec<f32> {
    (0..40).map(|at| at as f32 / 64.0 - 0.25).collect()
}

#[test]
fn files_of_numpy_and_safetensors_are_read() {
    let names = ["a", "b c", "käse"];
    for (name, ids) in [
        ("matrix.npz", names),
        ("bytes.npz", names),
        ("numbers.npz", ["7", "-8", "9"]),
        ("per-text.npz", ["0", "1", "2"]),
        ("queries.npz", names),
        ("matrix.safetensors", names),
        ("metadata.safetensors", names),
        ("per-text.safetensors", ["doc-2", "doc-9", "doc-10"]),
    ] {
        let texts = if name.starts_with("queries") { Texts::Queries } else { Texts::Passages };
        let ids = Some(ids.map(str::to_owned).to_vec());
        assert_eq!(read(&fixture("vectors").join(name), texts).unwrap(), (8, vec![2, 0, 3], expected(), ids), "{name}");
    }
}

#[test]
fn a_compressed_archive_names_the_way_out() {
    let said = read(&fixture("vectors/compressed.npz"), Texts::Passages).unwrap_err().to_string();
    assert!(said.contains("compressed.npz") && said.contains("numpy.savez, not savez_compressed"), "{said}");
    // Arrays of queries are no arrays of passages; a text may have any name.
    let folder = tempfile::tempdir().unwrap();
    let path = safetensors(folder.path(), &format!("{{{}}}", tensor("ids", "F32", "[1, 8]", 0, 32)), 32);
    assert_eq!(read(&path, Texts::Passages).unwrap().3, Some(vec!["ids".to_owned()]));
    let said = read(&fixture("vectors/queries.npz"), Texts::Passages).unwrap_err().to_string();
    assert!(said.contains("\"queryids\" has shape [3], expected (tokens, D); a file has"), "{said}");
}

/// A safetensors file with this header, and `data` zeros after it.
fn safetensors(folder: &Path, header: &str, data: usize) -> std::path::PathBuf {
    let path = folder.join("a.safetensors");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Header of a tensor.
fn tensor(name: &str, dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!("{name:?}: {{\"dtype\": {dtype:?}, \"shape\": {shape}, \"data_offsets\": [{start}, {end}]}}")
}

#[test]
fn tensors_of_bf16_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let header = format!("{{{}, {}}}", tensor("docs", "BF16", "[1, 8]", 4, 20), tensor("doclens", "U32", "[1]", 0, 4));
    let path = safetensors(folder.path(), &header, 20);
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 20] = 1;
    // The upper half of an f32: -3.0.
    bytes[end - 2..].copy_from_slice(&[0x40, 0xc0]);
    std::fs::write(&path, bytes).unwrap();
    let rows = vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0];
    assert_eq!(read(&path, Texts::Passages).unwrap(), (8, vec![1], rows, None));
    assert!(open(&path, Texts::Passages).unwrap().needs_f32());
}

#[test]
fn headers_of_safetensors_that_lie_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let lens = |shape: &str, end: u64| tensor("doclens", "I32", shape, 32, end);
    let docs = |dtype: &str, shape: &str| tensor("docs", dtype, shape, 0, 32);
    for (tensors, data, reason) in [
        (vec![docs("F32", "[1, 8]"), lens("[1]", 36)], 36, "1 rows, but its \"doclens\" add up to 0"),
        (vec![docs("F32", "[1, 8]"), lens("[1]", 36)], 35, "has 35 bytes of tensors, its header says 36"),
        (vec![docs("F32", "[1, 8]"), lens("[1]", 36)], 37, "has 37 bytes of tensors, its header says 36"),
        (vec![docs("F32", "[2, 8]"), lens("[1]", 36)], 36, "has a bad header"),
        (vec![docs("F32", "[4294967296, 4294967296]"), lens("[1]", 36)], 36, "has a bad header"),
        (vec![docs("F32", "[-1, 8]"), lens("[1]", 36)], 36, "has a bad header"),
        (vec![docs("F64", "[1, 4]"), lens("[1]", 36)], 36, "\"docs\" holds f64, expected f16, bf16 or f32"),
        (vec![docs("I16", "[2, 8]"), lens("[1]", 36)], 36, "\"docs\" holds I16"),
        (vec![docs("F32", "[8]"), lens("[1]", 36)], 36, "\"docs\" has shape [8], expected (total_tokens, D)"),
        (vec![docs("F32", "[1, 8]"), lens("[1, 1]", 36)], 36, "\"doclens\" has shape [1, 1], expected one axis"),
        (vec![docs("F32", "[1, 8]")], 32, "has an array \"docs\", but no \"doclens\""),
        (vec![], 0, "holds no array"),
        (vec![tensor("x", "F32", "[1, 8]", 0, 32), tensor("y", "F16", "[1, 8]", 32, 48)], 48, "\"y\" is f16 of dim 8"),
        (vec![tensor("x", "F32", "[]", 0, 4)], 4, "\"x\" has shape []"),
        (vec![tensor("x", "F32", "[1, 8]", 0, 32), tensor("ids", "U8", "[1]", 32, 33)], 33, "whose names are the ids"),
    ] {
        let path = safetensors(folder.path(), &format!("{{{}}}", tensors.join(", ")), data);
        let said = read(&path, Texts::Passages).unwrap_err().to_string();
        assert!(said.contains("a.safetensors") && said.contains(reason), "{said}, expected: {reason}");
    }
    // A length of the header beyond the file reserves nothing.
    let path = folder.path().join("b.safetensors");
    for (bytes, reason) in [
        (&b"short"[..], "fewer than 8 bytes"),
        (&[0xff; 20], "its header would have"),
        (b"\0\0\0\x02\0\0\0\0{}", "its header would have 33554432 bytes, of 10 in all"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let said = read(&path, Texts::Passages).unwrap_err().to_string();
        assert!(said.contains(reason), "{said}");
    }
}

/// Bytes of small files changed, and cuts: an error or a result, never a panic.
#[test]
fn spoiled_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["matrix.npz", "per-text.npz", "matrix.safetensors", "per-text.safetensors"] {
        let (bytes, path) = (std::fs::read(fixture("vectors").join(name)).unwrap(), folder.path().join(name));
        for cut in (0..bytes.len()).step_by(29) {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(read(&path, Texts::Passages).is_err(), "{name} cut at {cut}");
        }
        for at in (0..bytes.len()).step_by(13) {
            let mut changed = bytes.clone();
            changed[at] ^= if at % 2 == 0 { 0xff } else { 0x01 };
            std::fs::write(&path, &changed).unwrap();
            let _ = read(&path, Texts::Passages);
        }
    }
    std::fs::remove_file(folder.path().join("matrix.npz")).unwrap();
    assert!(matches!(read(&folder.path().join("matrix.npz"), Texts::Passages), Err(Error::Io { .. })));
    std::fs::create_dir(folder.path().join("matrix.npz")).unwrap();
    assert!(read(&folder.path().join("matrix.npz"), Texts::Passages).is_err());
}
