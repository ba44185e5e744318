//! The centroid table of one query: throughput in multiply-adds, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, Timed, Work, bench, codec, query, wide};

fn centroid_table(c: &mut Criterion) {
    let mut group = c.benchmark_group("centroid_table");
    group.sample_size(20);
    let codec = codec(2, 1024);
    each_backend!(backend => {
        for (query_len, log_k) in [(32, 12), (32, 14), (32, 16), (12, 14), (12, 16), (12, 18)] {
            let k = backend.size(1 << log_k, 1 << log_k);
            let resident = backend.load_codec(wide(&codec.params, k)).expect("valid");
            let query = query(backend, &resident, query_len);
            let macs = query_len * k * DIM;
            let what = format!("Q{query_len}xK2^{}xD{DIM}", k.ilog2());
            bench(&mut group, backend, what, Throughput::Elements(macs as u64), Work::Products(macs), || {
                backend.centroid_table(&resident, &query).expect("it does not fail")
            });
        }
    });
}

criterion_group!(benches, centroid_table);
criterion_main!(benches);
