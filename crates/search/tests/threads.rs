//! Threads that a search runs on. The file has one test only, because it counts the threads of the process: rayon
//! starts its global pool as soon as work reaches it from outside of any pool, so without that pool only the caller and
//! its own pool can have computed anything.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub)] // nothing imports a test crate

mod support;

use selvedge_backend::Cpu;
use selvedge_search::{SearchParams, Searcher};
use support::{index, rows};

/// Number of threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_search_computes_on_the_callers_threads_and_no_others() {
    let before = threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    // More passages than the backend scores on one thread, and more centroids than one block of a table.
    let doclens = vec![2; 1500];
    let queries: Vec<Vec<f32>> = [1, 8, 9, 40, 700].map(rows).to_vec();
    let (_dir, index) = pool.install(|| index(&doclens, 1024));
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    for params in [SearchParams::approximate(10), SearchParams::approximate(1000), SearchParams::exact(10)] {
        assert_eq!(pool.install(|| searcher.search_batch(&queries, &params, None).unwrap()).len(), queries.len());
        assert_eq!(threads(), before + 1, "{params:?}: the pool's one thread");
    }

    // A single query needs no pool, unless every passage is scored.
    let half = searcher.passages(&(0..1500).step_by(2).collect::<Vec<_>>()).unwrap();
    for query in &queries {
        searcher.search(query, &SearchParams::approximate(10), None).unwrap();
        searcher.search(query, &SearchParams::approximate(1000), Some(&half)).unwrap();
        searcher.search(query, &SearchParams::exact(10), Some(&half)).unwrap();
    }
    assert_eq!(threads(), before + 1, "single queries started threads");
    searcher.search(&queries[0], &SearchParams::exact(10), None).unwrap();
    assert!(threads() > before + 1, "rayon's global pool has not started: the counts above prove nothing");
}
