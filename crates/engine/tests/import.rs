//! Imports of indexes of other programs. Formats are tested in `selvedge-bridges`.
#![allow(missing_docs)]

use selvedge::import::{ImportOptions, import_index};
use selvedge_bridges::open;
use std::path::Path;

/// A budget that does not hold what grows with the passages is refused before anything is written.
#[test]
fn a_budget_that_holds_no_ids_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let name = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bridges/tests/fixtures/warp-2");
    let mut source = open(&name).unwrap();
    // 16 bytes of a passage, 4 of an embedding, 17 of an id.
    let needed = 8 + 60 * 16 + source.found.embeddings * 4 + 60 * 17;
    let mut import = |memory_budget| {
        let options = ImportOptions { memory_budget, ..ImportOptions::default() };
        import_index(&mut source, &path, &options, &())
    };
    let refused = import(needed - 1).unwrap_err().to_string();
    assert!(refused.contains(&format!("{needed} bytes are needed")), "{refused}");
    assert!(!path.exists());
    assert_eq!(import(1 << 20).unwrap().passages, 60);
    // 16 bytes of a component of a centroid and 4 of a sampled one, besides.
    let needed = needed + 16 * source.codec.centroids.len() as u64 + 4 * 32 * source.found.embeddings;
    let mut recode = |memory_budget| {
        let options = ImportOptions { memory_budget, recode: true, ..ImportOptions::default() };
        import_index(&mut source, &folder.path().join("recoded"), &options, &())
    };
    let refused = recode(needed - 1).unwrap_err().to_string();
    assert!(refused.contains(&format!("{needed} bytes are needed")), "{refused}");
    assert_eq!(recode(needed).unwrap().passages, 60);
}
