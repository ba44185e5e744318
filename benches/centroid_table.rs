//! The centroid table of one query: throughput in multiply-adds, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, backends, codec, embeddings, name};

fn centroid_table(c: &mut Criterion) {
    let mut group = c.benchmark_group("centroid_table");
    group.sample_size(20);
    let (query_len, k) = (32, 4096);
    for backend in backends() {
        let codec = codec(&backend, 2, k);
        let query = codec.quantize_query(codec.rotation().as_ref(), &embeddings(query_len, 1000, 3));
        let resident = backend.load_codec(codec.params.clone()).expect("valid");
        group.throughput(Throughput::Elements((query_len * k * DIM) as u64));
        group.bench_function(BenchmarkId::new(name(&backend), format!("Q{query_len}xK{k}xD{DIM}")), |b| {
            b.iter(|| backend.centroid_table(&resident, &query));
        });
    }
}

criterion_group!(benches, centroid_table);
criterion_main!(benches);
