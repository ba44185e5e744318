//! Random edits of a folder, compared with an index that is built from it at once.

use crate::tree::{Tree, WORDS, documents, words};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge::change;
use selvedge::{CompactOptions, Engine, OpenOptions, SearchOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Random edits: after each one, the index has the documents of the folder; in the end, it answers as an index that is
/// built at once.
#[test]
fn random_edits_are_followed() {
    const NAMES: [&str; 9] = ["a", "a#1", "a#2", "b", "d/x", "d/x#1", "d/e/y", "z.md", "d/x/#1"];
    for seed in 0..4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tree = Tree::new(&[("always", "the woven edge keeps a cloth from fraying")]);
        let mut generation = u64::from(tree.build().generation());
        for step in 1..=12 {
            for _ in 0..rng.random_range(1..4) {
                edit(&tree, NAMES[rng.random_range(0..NAMES.len())], step, &mut rng);
            }
            let report = tree.update();
            assert!(u64::from(report.change.generation) >= generation);
            generation = report.change.generation.into();
        }
        change::compact(&tree.index(), &CompactOptions::default(), &()).unwrap();
        let followed = answers(&tree.index());
        assert_eq!(documents(&tree.open()), tree.documents());
        assert_eq!(tree.try_update().unwrap().change.added, 0, "compact keeps the record");
        fs::remove_dir_all(tree.index()).unwrap();
        tree.build();
        assert_eq!(followed, answers(&tree.index()), "seed {seed}");
    }
}

/// Changes, deletes, touches or replaces a file or folder.
fn edit(tree: &Tree, name: &str, step: u64, rng: &mut ChaCha8Rng) {
    let path = tree.at(name);
    match rng.random_range(0..10) {
        0 | 1 if path.is_dir() => fs::remove_dir_all(path).unwrap(),
        0 | 1 => drop(fs::remove_file(path)),
        2 if path.is_file() => tree.set_time(name, SystemTime::UNIX_EPOCH + Duration::from_secs(step)),
        action => {
            // What has the place of the file or of its folders goes.
            for above in path.ancestors().take_while(|above| *above != tree.folder()) {
                match above.is_file() || above == path {
                    true if above.is_dir() => fs::remove_dir_all(above).unwrap(),
                    true => drop(fs::remove_file(above)),
                    false => {}
                }
            }
            let start = rng.random_range(0..4) * WORDS;
            let text = words(start..start + rng.random_range(0..5 * WORDS));
            tree.write(name, if action == 3 { "\0" } else { &text }, step);
        }
    }
}

/// Ids that exact searches find, and how many passages and tokens there are.
fn answers(index: &Path) -> (BTreeMap<String, BTreeSet<String>>, u32, u64) {
    let engine = Engine::open(index, OpenOptions::default()).unwrap();
    let options = SearchOptions { k: 1000, exact: true, ..SearchOptions::default() };
    let found = |query: &str| engine.search(query, &options).unwrap().hits.into_iter().map(|hit| hit.id).collect();
    let queries = ["woven edge", "word7 word8", "word20"];
    let snapshot = engine.snapshot();
    let found = queries.into_iter().map(|query| (query.to_owned(), found(query))).collect();
    (found, snapshot.index().num_passages(), snapshot.index().num_tokens())
}
