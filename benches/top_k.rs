//! The best of many scores: scores a second, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::{Backend, Select};
use support::{Timed, Work, bench, codec, coded_passages, query, wide};

fn top_k(c: &mut Criterion) {
    let mut group = c.benchmark_group("top_k");
    group.sample_size(20);
    let codec = codec(0, 1024);
    let wide = wide(&codec.params, 1024);
    each_backend!(backend => {
        let num = backend.size(1 << 16, 1 << 20);
        // Passages of two tokens score differently enough.
        let resident = backend.load_codec(wide.clone()).expect("valid");
        let loaded = backend.load_passages(&resident, coded_passages(&wide, num, 2)).expect("valid");
        let query = query(backend, &resident, 32);
        let table = backend.centroid_table(&resident, &query).expect("it does not fail");
        let scores = backend.approx_scores(&loaded, &table, Select::All).expect("it does not fail");
        for k in [10, 1000] {
            let read = Work::Moved(num * size_of::<i32>());
            bench(&mut group, backend, format!("{k}of{num}"), Throughput::Elements(num as u64), read, || {
                backend.top_k(&scores, k).expect("it does not fail")
            });
        }
    });
}

criterion_group!(benches, top_k);
criterion_main!(benches);
