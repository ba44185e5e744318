//! Nearest centroid: throughput in multiply-adds, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::{Backend, round_to_int8};
use support::{DIM, backends, embeddings, name};

fn assign(c: &mut Criterion) {
    let mut group = c.benchmark_group("assign");
    group.sample_size(10);
    let (n, k) = (4096, 4096);
    let (rows, reals) = (embeddings(n, 1000, 1), embeddings(k, 1000, 2));
    let mut centroids = vec![0; reals.len()];
    round_to_int8(&reals, &mut centroids);
    for backend in backends() {
        group.throughput(Throughput::Elements((n * k * DIM) as u64));
        group.bench_function(BenchmarkId::new(name(&backend), format!("N{n}xK{k}xD{DIM}")), |b| {
            b.iter(|| backend.assign(DIM, &rows, &centroids).expect("a CPU never fails"));
        });
    }
}

criterion_group!(benches, assign);
criterion_main!(benches);
