//! The centroid table of one query: throughput in multiply-adds, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, Timed, codec, query, wide};

fn centroid_table(c: &mut Criterion) {
    let mut group = c.benchmark_group("centroid_table");
    group.sample_size(20);
    let codec = codec(2, 1024);
    each_backend!(backend => {
        for (query_len, log_k) in [(32, 12), (32, 14), (32, 16), (12, 14), (12, 16), (12, 18)] {
            let k = backend.size(1 << log_k, 1 << log_k);
            let resident = backend.load_codec(wide(&codec.params, k)).expect("valid");
            let query = query(&codec, query_len);
            group.throughput(Throughput::Elements((query_len * k * DIM) as u64));
            let id = BenchmarkId::new(backend.name(), format!("Q{query_len}xK2^{}xD{DIM}", k.ilog2()));
            group.bench_function(id, |b| {
                b.iter(|| {
                    let table = backend.centroid_table(&resident, &query).expect("it does not fail");
                    backend.wait();
                    table
                });
            });
        }
    });
}

criterion_group!(benches, centroid_table);
criterion_main!(benches);
