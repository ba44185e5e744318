//! Residuals to bytes, and embeddings to codes and bytes (rotation, assignment and compression in one): embeddings per
//! second, one thread. A GPU's time has their way there in it, and the host's rotation.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, Timed, Work, bench, codec, embeddings};

fn compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("compress");
    group.sample_size(10);
    for nbits in [1u8, 2, 4] {
        let codec = codec(nbits, 1024);
        each_backend!(backend => {
            let n = backend.size(8192, 1 << 16);
            let rows = embeddings(n, 1000, 1);
            let resident = backend.load_codec(codec.params.clone()).expect("there is room");
            let centroids = backend.load_centroids(DIM, &codec.params.centroids).expect("there is room");
            let codes = backend.assign(&centroids, &rows).expect("it does not fail");
            let (what, read) = (format!("{nbits}bitxD{DIM}"), Work::Moved(size_of_val(&rows[..])));
            bench(&mut group, backend, what, Throughput::Elements(n as u64), read, || {
                backend.compress(&resident, &rows, &codes).expect("it does not fail")
            });
        });
    }
}

/// What a build does with each embedding, and a copy of it, at as many centroids as the peers were measured with.
fn assign_compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("assign_compress");
    group.sample_size(10);
    let k = 4096;
    for nbits in [1u8, 2, 4] {
        let codec = codec(nbits, k);
        each_backend!(backend => {
            let compressor = codec.compressor(backend).expect("there is room");
            let n = backend.size(8192, 1 << 16);
            let rows = embeddings(n, 1000, 1);
            let (what, products) = (format!("{nbits}bitxK{k}xD{DIM}"), Work::Products(n * k * DIM));
            let mut rotated = rows.clone();
            bench(&mut group, backend, what, Throughput::Elements(n as u64), products, || {
                rotated.copy_from_slice(&rows);
                compressor.compress(backend, &mut rotated).expect("it does not fail")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, compress, assign_compress);
criterion_main!(benches);
