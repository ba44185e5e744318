//! Whose threads a search runs on. The only test of its file, since it counts the threads of the process: rayon
//! starts a pool of its own as soon as work reaches it from outside of any pool, so as long as there is none, nobody
//! but the caller and the pool that it handed in can have computed anything.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub)] // a test crate has no outside

mod support;

use selvedge_backend::Cpu;
use selvedge_search::{SearchParams, Searcher, Subset};
use support::{index, rows};

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_search_computes_on_the_callers_threads_and_no_others() {
    let before = threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    // More passages than one thread keeps to itself, and more centroids than one block of a table.
    let doclens = vec![2; 1500];
    let queries: Vec<Vec<f32>> = [1, 8, 9, 40, 700].map(rows).to_vec();
    let (_dir, index) = pool.install(|| index(&doclens, 1024));
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    for params in [SearchParams::approximate(10), SearchParams::approximate(1000), SearchParams::exact(10)] {
        assert_eq!(pool.install(|| searcher.search_batch(&queries, &params, None).unwrap()).len(), queries.len());
        assert_eq!(threads(), before + 1, "{params:?}: the pool's one thread");
    }

    // One query at a time needs no pool at all, unless it is compared with every passage.
    let half = Subset::new((0..1500).step_by(2).collect(), 1500).unwrap();
    for query in &queries {
        searcher.search(query, &SearchParams::approximate(10), None).unwrap();
        searcher.search(query, &SearchParams::approximate(1000), Some(&half)).unwrap();
        searcher.search(query, &SearchParams::exact(10), Some(&half)).unwrap();
    }
    assert_eq!(threads(), before + 1, "single queries started threads");
    searcher.search(&queries[0], &SearchParams::exact(10), None).unwrap();
    assert!(threads() > before + 1, "rayon's own pool, at last: else this test tells nothing");
}
