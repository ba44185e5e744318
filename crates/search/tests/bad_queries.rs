//! Unusual queries: each gets a typed error or the obvious answer, on every backend.

#![allow(unreachable_pub)] // nothing imports a test crate

mod support;

use selvedge_backend::{Backend, Cpu, Isa, reference::Reference};
use selvedge_index::Index;
use selvedge_search::{Error, Mode, PassageSet, SearchParams, Searcher, query::MAX_QUERY_TOKENS};
use support::{DIM, index, rows};

const CENTROIDS: usize = 32;
const DOCLENS: [u32; 7] = [20, 0, 1, 100, 30, 40, 50];
/// Number of passages with tokens, which are those that can be found.
const FILLED: usize = DOCLENS.len() - 1;

/// Evaluates `check` with a searcher of every backend of this machine.
macro_rules! each_searcher {
    ($index:expr, $searcher:ident => $check:expr) => {{
        let $searcher = &Searcher::new(Reference, $index).unwrap();
        $check;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let $searcher = &Searcher::new(Cpu::with_isa(isa).unwrap(), $index).unwrap();
            $check;
        }
    }};
}

/// Pids of the hits, after a check of scores and order.
fn pids<B: Backend>(
    searcher: &Searcher<B>,
    query: &[f32],
    params: &SearchParams,
    set: Option<&PassageSet>,
) -> Vec<u32> {
    let found = searcher.search(query, params, set).unwrap().hits;
    assert!(found.iter().all(|f| f.score.is_finite()), "{params:?}: {found:?}");
    assert!(found.windows(2).all(|w| (w[0].raw, w[1].pid) > (w[1].raw, w[0].pid)), "{params:?}: {found:?}");
    found.iter().map(|f| f.pid).collect()
}

fn funnel(k: usize, nprobe: usize, ndocs: usize) -> SearchParams {
    SearchParams { k, mode: Mode::Approximate { nprobe, ndocs, num_rescored: ndocs } }
}

#[test]
fn malformed_queries_are_errors() {
    let (_dir, index) = index(&DOCLENS, CENTROIDS);
    each_searcher!(&index, searcher => for params in [SearchParams::exact(3), SearchParams::approximate(3)] {
        let error = |query: &[f32]| searcher.search(query, &params, None).unwrap_err();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut query = rows(4);
            query[2 * DIM + 5] = bad;
            assert!(matches!(error(&query), Error::NotFinite { token: 2 }));
        }
        for bad in [f32::MAX, f32::MIN, 1e13] {
            let mut query = rows(4);
            query[3 * DIM] = bad;
            assert!(matches!(error(&query), Error::TooLarge { token: 3, component } if component == bad));
        }
        assert!(matches!(error(&rows(3)[1..]), Error::DimMismatch { expected: DIM, found: 47 }));
        assert!(matches!(error(&[0.5]), Error::DimMismatch { expected: DIM, found: 1 }));
        assert!(matches!(error(&rows(10_000)), Error::QueryTooLong { found: 10_000, limit: MAX_QUERY_TOKENS }));
        // One bad query fails the batch.
        assert!(searcher.search_batch(&[rows(1), vec![f32::NAN; DIM]], &params, None).is_err());
        assert!(searcher.search_batch(&[[0f32; 0]; 0], &params, None).unwrap().is_empty());
    });
}

#[test]
fn degenerate_queries_have_the_obvious_answer() {
    let (_dir, index) = index(&DOCLENS, CENTROIDS);
    let all_params = [SearchParams::exact(3), SearchParams::approximate(3), funnel(3, 1, 3)];
    each_searcher!(&index, searcher => for params in all_params {
        assert!(pids(searcher, &[], &params, None).is_empty());
        // All scores are 0, so the lowest pids with tokens are found, in the approximate search those in the probed
        // cells.
        for zeros in [&[0.0; DIM][..], &[-0.0; 9 * DIM]] {
            let found = pids(searcher, zeros, &params, None);
            assert!(if params == funnel(3, 1, 3) { found.len() == 3 } else { found == [0, 2, 3] }, "{found:?}");
        }
        for size in [f32::MIN_POSITIVE, 1e-45, 1e-30, 1e12] {
            let query: Vec<f32> = rows(4).iter().map(|x| x * size).collect();
            assert_eq!(pids(searcher, &query, &params, None).len(), 3, "{size:e}");
        }
        assert_eq!(pids(searcher, &rows(MAX_QUERY_TOKENS), &params, None).len(), 3);
    });
}

#[test]
fn parameters_out_of_range_are_clamped() {
    let (_dir, index) = index(&DOCLENS, CENTROIDS);
    let (query, large) = (rows(4), [CENTROIDS + 1, 1 << 40, usize::MAX / 2, usize::MAX]);
    each_searcher!(&index, searcher => {
        let ask = |params: &SearchParams| pids(searcher, &query, params, None);
        let all = ask(&SearchParams::exact(FILLED));
        assert_eq!(all.len(), FILLED);
        for params in [SearchParams::exact(0), SearchParams::approximate(0), funnel(0, 0, 0)] {
            assert!(ask(&params).is_empty(), "{params:?}");
        }
        for k in large {
            assert_eq!(ask(&SearchParams::exact(k)), all);
            assert_eq!(ask(&SearchParams::approximate(k)), all);
            assert_eq!(ask(&funnel(k, 1, 1)), all);
        }
        for many in large {
            assert_eq!(ask(&funnel(FILLED, many, 5)), all);
            assert_eq!(ask(&funnel(FILLED, 1, many)), all);
            assert_eq!(ask(&funnel(2, many, many)), all[..2]);
        }
        assert_eq!(ask(&funnel(3, 0, 10)), ask(&funnel(3, 1, 10)));
        assert_eq!(ask(&funnel(3, 4, 0)), ask(&funnel(3, 4, 3)));
        assert_eq!(ask(&funnel(3, 0, 0)).len(), 3);
    });
}

#[test]
fn nothing_is_found_in_empty_indexes_and_sets() {
    let (_dir, filled) = index(&DOCLENS, CENTROIDS);
    let (_dir_of_none, none) = index(&[], CENTROIDS);
    let (_dir_of_empty, empty) = index(&[0, 0, 0], CENTROIDS);
    let asked =
        [SearchParams::exact(3), SearchParams::approximate(3), funnel(3, 0, 0), SearchParams::exact(usize::MAX)];
    let nowhere = |index: &Index, within: Option<&[u32]>| {
        each_searcher!(index, searcher => for params in &asked {
            let set = within.map(|within| searcher.passages(within).unwrap());
            assert!(pids(searcher, &rows(4), params, set.as_ref()).is_empty(), "{params:?}");
        });
    };
    nowhere(&none, None);
    nowhere(&empty, None);
    nowhere(&none, Some(&[]));
    nowhere(&filled, Some(&[]));
    // The only passage of the set has no token.
    nowhere(&filled, Some(&[1]));
    let [filled, none] = [&filled, &none].map(|index| Searcher::new(Cpu::new().unwrap(), index).unwrap());
    assert!(matches!(filled.passages(&[7, 2]), Err(Error::NoSuchPassage { pid: 7, num_passages: 7 })));
    assert!(matches!(none.passages(&[0]), Err(Error::NoSuchPassage { pid: 0, num_passages: 0 })));
    let foreign = none.passages(&[]).unwrap();
    for params in &asked {
        assert!(matches!(filled.search(&rows(4), params, Some(&foreign)), Err(Error::OtherGeneration)));
        assert!(matches!(filled.search_batch(&[rows(4)], params, Some(&foreign)), Err(Error::OtherGeneration)));
    }
}

#[test]
fn a_search_for_more_results_than_the_cells_hold_is_exhaustive() {
    let (_dir, index) = index(&DOCLENS, CENTROIDS);
    each_searcher!(&index, searcher => {
        let (query, k) = (rows(4), DOCLENS.len());
        let outcome = searcher.search(&query, &funnel(k, 1, 1), None).unwrap();
        assert_eq!(outcome.hits, searcher.search(&query, &SearchParams::exact(k), None).unwrap().hits);
        assert_eq!(outcome.hits.len(), FILLED);
        // The passage without tokens is counted too: all passages were scored, not only the candidates.
        assert_eq!(outcome.num_scored, DOCLENS.len());
    });
    let (_dir, index) = support::index(&[20, 0, 0, 30, 40], CENTROIDS);
    each_searcher!(&index, searcher => {
        let set = searcher.passages(&[0, 1, 2, 3]).unwrap();
        let outcome = searcher.search(&rows(4), &funnel(3, 1, 1), Some(&set)).unwrap();
        assert_eq!(outcome.hits, searcher.search(&rows(4), &SearchParams::exact(3), Some(&set)).unwrap().hits);
        // All of so small a set are candidates; two have no tokens to score.
        assert_eq!((outcome.hits.len(), outcome.num_scored), (2, 2));
    });
}

/// The first query is slow to check, and its error is at the end; others fail at once. On several threads their errors
/// often come first in time.
#[test]
fn a_batch_fails_with_the_error_of_its_first_bad_query() {
    let (_dir, index) = index(&DOCLENS, CENTROIDS);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let mut queries = vec![rows(MAX_QUERY_TOKENS), rows(4), rows(4), rows(4)];
    *queries[0].last_mut().unwrap() = f32::NAN;
    queries.extend(vec![rows(MAX_QUERY_TOKENS + 1); 4]);
    for params in [SearchParams::exact(3), SearchParams::approximate(3)] {
        for _ in 0..50 {
            let error = pool.install(|| searcher.search_batch(&queries, &params, None)).unwrap_err();
            assert!(
                matches!(error, Error::NotFinite { token } if token == MAX_QUERY_TOKENS - 1),
                "{params:?}: {error}"
            );
        }
    }
}
