//! Residuals to bytes: embeddings per second, one thread, the assignment not counted.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, backends, codec, embeddings, name};

fn compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("compress");
    group.sample_size(10);
    let n = 8192;
    let rows = embeddings(n, 1000, 1);
    for backend in backends() {
        for nbits in [1u8, 2, 4] {
            let codec = codec(&backend, nbits, 1024);
            let codes = backend.assign(DIM, &rows, &codec.params.centroids);
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(name(&backend), format!("{nbits}bitxD{DIM}")), |b| {
                b.iter(|| backend.compress(&codec.params, &rows, &codes));
            });
        }
    }
}

criterion_group!(benches, compress);
criterion_main!(benches);
