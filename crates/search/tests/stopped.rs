//! Searches that ask whether they go on: in parts they find what they find in one, and they stop when told to.

#![allow(unreachable_pub)] // nothing imports a test crate

#[allow(dead_code)]
mod support;

use selvedge_backend::{Cpu, Embeddings, Packed};
use selvedge_codec::{TrainOptions, train};
use selvedge_index::{Check, Index, ManifestInfo, Writer};
use selvedge_search::{Error, SearchParams, Searcher};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{DIM, rows};

const PASSAGES: u32 = 3000;
const TOKENS: u32 = 1000;

/// Index of three million tokens, of which only the codes take bytes. Passages have few different codes, so that scores
/// differ, and some are equal.
fn large_index() -> (tempfile::TempDir, Index) {
    let codec = train(&Cpu::new().unwrap(), DIM, rows(500), &TrainOptions::new(0, 16), &()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    writer.set_codec(&codec).unwrap();
    let code = |token: u32| (token / TOKENS).wrapping_mul(2_654_435_761) >> (7 * (token % 3)) & 15;
    let codes: Vec<u32> = (0..PASSAGES * TOKENS).map(code).collect();
    let packed = Packed { residuals: Vec::new(), weights: vec![0; codes.len()] };
    writer.push_passages(&[TOKENS; PASSAGES as usize], &codes, &packed).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    (dir, Index::open(&path, Check::Checksums).unwrap())
}

#[test]
fn an_exhaustive_search_in_parts_is_one_in_one() {
    let (_dir, index) = large_index();
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let queries = [rows(5), rows(9), Vec::new()];
    let embeddings: Vec<Embeddings<'_>> = queries.iter().map(|query| Embeddings::Host(query)).collect();
    let set = searcher.passages(&(0..PASSAGES).filter(|pid| pid % 7 != 2).collect::<Vec<_>>()).unwrap();
    for k in [1, 50, 5000] {
        let params = SearchParams::exact(k);
        for set in [None, Some(&set)] {
            let asked = AtomicUsize::new(0);
            let goes_on = || asked.fetch_add(1, Ordering::Relaxed) < usize::MAX;
            let found = searcher.search_embeddings_while(&embeddings, &params, set, &goes_on).unwrap();
            let expected = searcher.search_batch(&queries, &params, set).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((&found.hits, found.num_scored), (&expected.hits, expected.num_scored), "k {k}");
            }
            assert!(asked.into_inner() >= 3, "three million tokens are several parts");
        }
    }
}

#[test]
fn a_search_stops_when_it_is_told_to() {
    let (_dir, index) = large_index();
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let query = rows(5);
    for (params, num_queries) in [(SearchParams::exact(3), 1), (SearchParams::approximate(3), 4)] {
        let queries = vec![Embeddings::Host(&query); num_queries];
        for most in 0..3 {
            let asked = AtomicUsize::new(0);
            let goes_on = || asked.fetch_add(1, Ordering::Relaxed) < most;
            let found = searcher.search_embeddings_while(&queries, &params, None, &goes_on);
            assert!(matches!(found, Err(Error::Stopped)), "{params:?}: {most}");
        }
    }
}
