//! Sums of embeddings by code: bytes of embeddings a second, one thread. A GPU's time has their way there in it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, Timed, codes, embeddings};

fn centroid_sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("centroid_sums");
    group.sample_size(10);
    let k = 4096;
    each_backend!(backend => {
        let n = backend.size(1 << 16, 1 << 18);
        let (rows, codes) = (embeddings(n, 1000, 1), codes(n, k));
        group.throughput(Throughput::Bytes(size_of_val(&rows[..]) as u64));
        group.bench_function(BenchmarkId::new(backend.name(), format!("N{n}xK{k}xD{DIM}")), |b| {
            b.iter(|| backend.centroid_sums(DIM, &rows, &codes, k).expect("it does not fail"));
        });
    });
}

criterion_group!(benches, centroid_sums);
criterion_main!(benches);
