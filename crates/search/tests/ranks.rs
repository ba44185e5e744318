//! Ranks among candidates compared with the searches that they predict, and tuning of small indexes.

#![allow(unreachable_pub)] // nothing imports a test crate

mod support;

use selvedge_backend::Cpu;
use selvedge_search::{Mode, SearchParams, Searcher, Tuning, tune};
use support::{DIM, index, rows};

const PASSAGES: usize = 60;
const NPROBE: usize = 1;

/// Queries of three tokens, each from another part of the collection.
fn queries() -> Vec<Vec<f32>> {
    rows(24).chunks_exact(3 * DIM).map(<[f32]>::to_vec).collect()
}

/// A passage of rank r is found if and only if `num_rescored` is above r, and the ranks are 0 to `ndocs` - 1, or to the
/// number of candidates - 1.
#[test]
fn a_rank_is_the_largest_num_rescored_that_does_not_find_the_passage() {
    let (_dir, index) = index(&[4; PASSAGES], 16);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let pids: Vec<u32> = (0..PASSAGES as u32).collect();
    let ndocs = [1, 3, 8, PASSAGES];
    for query in queries() {
        let ranks = searcher.candidate_ranks(&query, NPROBE, &ndocs, &pids, None).unwrap();
        let touched = ranks[3].iter().flatten().count();
        assert!((9..PASSAGES).contains(&touched), "{touched} candidates: more than the other ndocs, but not all");
        for (ranks, ndocs) in ranks.iter().zip(ndocs) {
            let mut found: Vec<usize> = ranks.iter().flatten().copied().collect();
            found.sort_unstable();
            assert_eq!(found, (0..ndocs.min(touched)).collect::<Vec<_>>(), "{ndocs} candidates have these ranks");
            for num_rescored in 1..=ndocs.min(touched) {
                let params = SearchParams { k: 1, mode: Mode::Approximate { nprobe: NPROBE, ndocs, num_rescored } };
                // k = num_rescored, so that every scored passage is found.
                let outcome = searcher.search(&query, &SearchParams { k: num_rescored, ..params }, None).unwrap();
                let mut found: Vec<u32> = outcome.hits.iter().map(|f| f.pid).collect();
                found.sort_unstable();
                let by_rank = |&pid: &u32| ranks[pid as usize].is_some_and(|rank| rank < num_rescored);
                let expected: Vec<u32> = pids.iter().copied().filter(by_rank).collect();
                assert_eq!(found, expected, "{ndocs} candidates, {num_rescored} scored");
            }
        }
    }
}

/// A small index is tuned like any other if it has more than `k` passages.
#[test]
fn a_small_index_is_tuned_or_searched_whole() {
    for passages in [2, 9, 20, 40, 60] {
        let (_dir, index) = index(&vec![7; passages], 16);
        let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
        for k in [1, 10, 39, 40, 100, 20_000, usize::MAX] {
            let tuning = tune(&searcher, &queries(), k, 1.0, None, &()).unwrap();
            match tuning {
                Tuning::SearchedWhole => assert!(k >= passages, "{passages} passages, k = {k}"),
                Tuning::Found(tried) => {
                    assert!(k < passages, "{passages} passages, k = {k}");
                    assert!(tried.iter().all(|t| t.k == k && t.recall > 1.0 - 1e-9), "{tried:?}");
                }
                other => panic!("{passages} passages, k = {k}: {other:?}"),
            }
        }
    }
}

/// With `k` at or above the number of passages, the narrowest parameters find all passages.
#[test]
fn an_index_that_is_searched_whole_gives_every_passage() {
    let (_dir, index) = index(&[4; PASSAGES], 16);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    for k in [PASSAGES, 10 * PASSAGES] {
        let narrow = SearchParams { k, mode: Mode::Approximate { nprobe: 1, ndocs: 1, num_rescored: 1 } };
        for query in queries() {
            assert_eq!(searcher.search(&query, &narrow, None).unwrap().hits.len(), PASSAGES);
        }
    }
}

#[test]
fn failures_to_tune_are_told_apart() {
    let (_dir, index) = index(&[4; PASSAGES], 16);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let nothing: [Vec<f32>; 2] = Default::default();
    assert_eq!(tune(&searcher, &nothing, 5, 0.9, None, &()).unwrap(), Tuning::NothingFound);
    assert_eq!(tune(&searcher, &[] as &[Vec<f32>], 5, 0.9, None, &()).unwrap(), Tuning::NothingFound);
    // No setting finds more than everything.
    let Tuning::OutOfReach { best_recall } = tune(&searcher, &queries(), 5, 1.5, None, &()).unwrap() else { panic!() };
    assert!((best_recall - 1.0).abs() < 1e-9, "{best_recall}");
}
