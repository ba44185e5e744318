//! Fused decompress + MaxSim from the compressed bytes, beside f32 MaxSim over plain vectors:
//! throughput in multiply-adds (query token x passage token x D), one thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::{Backend, Codec, Select};
use selvedge_codec::{TrainedCodec, levels::lloyd_max};
use std::sync::Arc;
use support::{DIM, backends, codec, embeddings, name, passages};

/// Puts Lloyd-Max buckets in the place of a trellis, to see what its windows cost.
fn without_trellis(codec: &mut TrainedCodec) {
    let levels = lloyd_max(codec.params.nbits);
    let params = Codec::clone(&codec.params);
    let params = Codec { coding: levels.coding, levels: levels.levels, cutoffs: levels.cutoffs, ..params };
    codec.params = Arc::new(params);
}

fn maxsim(c: &mut Criterion) {
    let mut group = c.benchmark_group("maxsim");
    group.sample_size(20);
    let (query_len, num, len) = (32, 256, 84);
    let query_rows = embeddings(query_len, 1000, 3);
    let macs = (query_len * num * len * DIM) as u64;
    for backend in backends() {
        for (nbits, buckets) in [(0u8, false), (1, false), (1, true), (2, false), (2, true), (4, false), (8, false)] {
            let mut codec = codec(&backend, nbits, 1024);
            if buckets {
                without_trellis(&mut codec);
            }
            let coding = if buckets { "buckets" } else { "bit" };
            let query = codec.quantize_query(codec.rotation().as_ref(), &query_rows);
            let resident = backend.load_codec(codec.params.clone()).expect("valid");
            let loaded = backend.load_passages(&resident, passages(&backend, &codec, num, len)).expect("valid");
            let table = backend.centroid_table(&resident, &query).expect("a CPU never fails");
            group.throughput(Throughput::Elements(macs));
            group.bench_function(
                BenchmarkId::new(name(&backend), format!("{nbits}{coding}xQ{query_len}xL{len}")),
                |b| {
                    b.iter(|| backend.maxsim(&loaded, &query, &table, Select::All).expect("a CPU never fails"));
                },
            );
        }
    }
    group.finish();

    let mut group = c.benchmark_group("maxsim_f32");
    group.sample_size(10);
    let rows = embeddings(num * len, 1000, 2);
    let offsets: Vec<usize> = (0..=num).map(|p| p * len).collect();
    for backend in backends() {
        group.throughput(Throughput::Elements(macs));
        group.bench_function(BenchmarkId::new(name(&backend), format!("Q{query_len}xL{len}")), |b| {
            b.iter(|| {
                backend.maxsim_f32(DIM, &query_rows, &[0, query_len], &rows, &offsets).expect("a CPU never fails")
            });
        });
    }
}

criterion_group!(benches, maxsim);
criterion_main!(benches);
