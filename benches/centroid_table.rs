//! The centroid table of one query: throughput in multiply-adds, one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, Codec};
use std::sync::Arc;
use support::{DIM, backends, codec, embeddings, name};

/// A codec with `num_centroids` centroids, which for the time that they take may point anywhere.
fn wide(codec: &Codec, num_centroids: usize) -> Arc<Codec> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let centroids = (0..num_centroids * DIM).map(|_| rng.random_range(-127..=127)).collect();
    Arc::new(Codec { centroids, ..codec.clone() })
}

fn centroid_table(c: &mut Criterion) {
    let mut group = c.benchmark_group("centroid_table");
    group.sample_size(20);
    for backend in backends() {
        let codec = codec(&backend, 2, 1024);
        for (query_len, log_k) in [(32, 12), (32, 14), (32, 16), (12, 14), (12, 16), (12, 18)] {
            let resident = backend.load_codec(wide(&codec.params, 1 << log_k)).expect("valid");
            let query = codec.quantize_query(codec.rotation().as_ref(), &embeddings(query_len, 1000, 3));
            group.throughput(Throughput::Elements((query_len << log_k) as u64 * DIM as u64));
            group.bench_function(BenchmarkId::new(name(&backend), format!("Q{query_len}xK2^{log_k}xD{DIM}")), |b| {
                b.iter(|| backend.centroid_table(&resident, &query).expect("a CPU never fails"));
            });
        }
    }
}

criterion_group!(benches, centroid_table);
criterion_main!(benches);
