//! Nearest centroid: throughput in multiply-adds, one thread. A GPU's time has the way of the embeddings there in it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::{Backend, round_to_int8};
use support::{DIM, Timed, Work, bench, embeddings};

fn assign(c: &mut Criterion) {
    let mut group = c.benchmark_group("assign");
    group.sample_size(10);
    let k = 4096;
    let reals = embeddings(k, 1000, 2);
    let mut centroids = vec![0; reals.len()];
    round_to_int8(&reals, &mut centroids);
    each_backend!(backend => {
        let n = backend.size(4096, 1 << 17);
        let rows = embeddings(n, 1000, 1);
        let macs = n * k * DIM;
        let what = format!("N{n}xK{k}xD{DIM}");
        let resident = backend.load_centroids(DIM, &centroids).expect("there is room");
        bench(&mut group, backend, what, Throughput::Elements(macs as u64), Work::Products(macs), || {
            backend.assign(&resident, &rows).expect("it does not fail")
        });
    });
}

criterion_group!(benches, assign);
criterion_main!(benches);
