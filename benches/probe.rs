//! The best centroids of each token of a query: entries of the table a second, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{Timed, Work, bench, codec, query, wide};

fn probe(c: &mut Criterion) {
    let mut group = c.benchmark_group("probe");
    group.sample_size(20);
    let (query_len, codec) = (32, codec(2, 1024));
    each_backend!(backend => {
        for (nprobe, log_k) in [(4, 14), (4, 16), (32, 16), (4, 18)] {
            let k = backend.size(1 << log_k, 1 << log_k);
            let resident = backend.load_codec(wide(&codec.params, k)).expect("valid");
            let query = query(backend, &resident, query_len);
            let table = backend.centroid_table(&resident, &query).expect("it does not fail");
            let (what, entries) = (format!("{nprobe}ofK2^{}xQ{query_len}", k.ilog2()), query_len * k);
            let read = Work::Moved(entries * size_of::<i32>());
            bench(&mut group, backend, what, Throughput::Elements(entries as u64), read, || {
                backend.probe(&table, nprobe).expect("it does not fail")
            });
        }
    });
}

criterion_group!(benches, probe);
criterion_main!(benches);
