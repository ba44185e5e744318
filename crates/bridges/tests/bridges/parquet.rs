//! Parquet files that pyarrow wrote, and spoiled ones.

use crate::support::fixture;
use selvedge_bridges::points::parquet::{Options, Table};
use selvedge_bridges::points::{Point, Points};
use selvedge_bridges::{Error, Result};
use serde_json::json;
use std::path::Path;

fn read(path: &Path, options: &Options) -> Result<Vec<Point>> {
    Table::open(path, options)?.collect()
}

/// The rows of `fixtures/vectors/make.py`.
fn expected() -> Vec<f32> {
    (0..40).map(|at| at as f32 / 64.0 - 0.25).collect()
}

#[test]
fn rows_become_points_with_ids_texts_and_metadata() {
    let path = fixture("vectors/rows.parquet");
    let table = Table::open(&path, &Options::default()).unwrap();
    let found = table.found();
    assert_eq!((found.dim, found.points, found.vector.as_str()), (8, Some(3), "late"));
    let points: Vec<Point> = table.collect::<Result<_>>().unwrap();
    let ids: Vec<_> = points.iter().map(|p| (p.document.id.as_str(), p.document.text.as_str(), p.rows.len())).collect();
    assert_eq!(ids, [("a", "one", 16), ("b c", "", 0), ("käse", "three", 24)]);
    assert_eq!(points.iter().flat_map(|point| point.rows.clone()).collect::<Vec<_>>(), expected());
    let metadata: Vec<_> = points.into_iter().map(|point| point.document.metadata).collect();
    assert_eq!(metadata[0], Some(json!({ "year": 2020, "day": "2020-02-29", "tags": ["x", "y"], "weights": [0.5] })));
    assert_eq!((&metadata[1], &metadata[2]), (&Some(json!({ "year": 2021, "tags": [] })), &None));
}

#[test]
fn columns_are_chosen_by_name_or_listed() {
    let path = fixture("vectors/two.parquet");
    let options = |vectors: Option<&str>, text: Option<&str>| Options {
        vectors: vectors.map(Into::into),
        text: text.map(Into::into),
    };
    for column in ["fixed", "doubles"] {
        let points = read(&path, &options(Some(column), None)).unwrap();
        assert_eq!(points.iter().flat_map(|point| point.rows.clone()).collect::<Vec<_>>(), expected(), "{column}");
        assert_eq!((points[1].document.id.as_str(), points[1].document.text.as_str()), ("1", "b"));
    }
    for vectors in [None, Some("text"), Some("none")] {
        let refused = read(&path, &options(vectors, None)).unwrap_err();
        assert!(matches!(&refused, Error::Columns { names, .. } if names == &["doubles", "fixed"]), "{refused}");
    }
    let refused = read(&path, &options(Some("fixed"), Some("body"))).unwrap_err();
    assert!(matches!(&refused, Error::Columns { names, .. } if names == &["text", "fixed", "doubles"]), "{refused}");
}

#[test]
fn rows_before_the_first_embedding_have_none() {
    let points = read(&fixture("vectors/empty-first.parquet"), &Options::default()).unwrap();
    let found: Vec<_> = points.iter().map(|p| (p.document.id.as_str(), p.rows.len())).collect();
    assert_eq!(found, [("0", 0), ("1", 0), ("2", 16)]);
}

/// The reason is the structure, and after an error there is no row.
#[test]
fn embeddings_in_structures_are_refused() {
    let said = Table::open(&fixture("vectors/structures.parquet"), &Options::default()).err().unwrap().to_string();
    assert!(said.contains("row 0, column \"late\": {x: [0.5]} is no list of numbers"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let (mut bytes, path) = (std::fs::read(fixture("vectors/rows.parquet")).unwrap(), folder.path().join("a.parquet"));
    let mut ended = 0;
    for at in (0..bytes.len()).step_by(3) {
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        bytes[at] ^= 0x55;
        let Ok(mut table) = Table::open(&path, &Options::default()) else { continue };
        if table.by_ref().any(|point| point.is_err()) {
            assert!(table.next().is_none(), "after an error");
            ended += 1;
        }
    }
    assert!(ended > 0);
}

/// Bytes changed, and cuts: an error or rows, never a panic of the caller.
#[test]
fn spoiled_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, path) = (std::fs::read(fixture("vectors/rows.parquet")).unwrap(), folder.path().join("a.parquet"));
    for cut in (0..bytes.len()).step_by(61) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(matches!(read(&path, &Options::default()), Err(Error::Malformed { .. })), "cut at {cut}");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= if at % 2 == 0 { 0xff } else { 0x01 };
        std::fs::write(&path, &changed).unwrap();
        let _ = read(&path, &Options::default());
    }
}
