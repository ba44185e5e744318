//! Residuals to bytes, and embeddings to codes and bytes (rotation, assignment and compression in one): embeddings per
//! second, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
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
            let codes = backend.assign(DIM, &rows, &codec.params.centroids).expect("a CPU never fails");
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(name(&backend), format!("{nbits}bitxD{DIM}")), |b| {
                b.iter(|| backend.compress(&codec.params, &rows, &codes).expect("a CPU never fails"));
            });
        }
    }
}

/// What a build does with each embedding, at as many centroids as the peers were measured with.
fn assign_compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("assign_compress");
    group.sample_size(10);
    let (n, k) = (8192, 4096);
    let rows = embeddings(n, 1000, 1);
    for backend in backends() {
        for nbits in [1u8, 2, 4] {
            let codec = codec(&backend, nbits, k);
            let compressor = codec.compressor();
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(name(&backend), format!("{nbits}bitxK{k}xD{DIM}")), |b| {
                b.iter_batched(
                    || rows.clone(),
                    |mut rows| compressor.compress(&backend, &mut rows).expect("a CPU never fails"),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, compress, assign_compress);
criterion_main!(benches);
