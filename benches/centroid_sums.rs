//! Sums of embeddings by code: bytes of embeddings a second, one thread. A GPU's time has their way there in it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, Timed, Work, bench, codes, embeddings};

fn centroid_sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("centroid_sums");
    group.sample_size(10);
    let k = 4096;
    each_backend!(backend => {
        let n = backend.size(1 << 16, 1 << 18);
        let (rows, codes) = (embeddings(n, 1000, 1), codes(n, k));
        let bytes = size_of_val(&rows[..]);
        let what = format!("N{n}xK{k}xD{DIM}");
        bench(&mut group, backend, what, Throughput::Bytes(bytes as u64), Work::Moved(bytes), || {
            backend.centroid_sums(DIM, &rows, &codes, k).expect("it does not fail")
        });
    });
}

criterion_group!(benches, centroid_sums);
criterion_main!(benches);
