//! Fused decompress + MaxSim from the compressed bytes, beside f32 MaxSim over plain vectors:
//! throughput in multiply-adds (query token x passage token x D), one thread. A GPU gets 128 times the passages.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::{Backend, CodecParams, Select};
use selvedge_codec::{Codec, levels::lloyd_max};
use support::{DIM, Timed, Work, bench, codec, embeddings, passages, query};

/// Puts Lloyd-Max buckets in the place of a trellis, to see what its windows cost.
fn without_trellis(codec: &mut Codec) {
    let levels = lloyd_max(codec.params.nbits);
    let params = CodecParams::clone(&codec.params);
    let params = CodecParams { coding: levels.coding, levels: levels.levels, cutoffs: levels.cutoffs, ..params };
    *codec = Codec::new(codec.kind, codec.seed, params).expect("valid");
}

fn maxsim(c: &mut Criterion) {
    let mut group = c.benchmark_group("maxsim");
    group.sample_size(20);
    let (query_len, len) = (32, 84);
    for (nbits, buckets) in [(0u8, false), (1, false), (1, true), (2, false), (2, true), (4, false), (8, false)] {
        let mut codec = codec(nbits, 1024);
        if buckets {
            without_trellis(&mut codec);
        }
        let coding = if buckets { "buckets" } else { "bit" };
        each_backend!(backend => {
            let num = backend.size(256, 1 << 15);
            let resident = backend.load_codec(codec.params.clone()).expect("valid");
            let loaded = backend.load_passages(&resident, passages(&codec, num, len)).expect("valid");
            let query = query(backend, &resident, query_len);
            let table = backend.centroid_table(&resident, &query).expect("it does not fail");
            let macs = query_len * num * len * DIM;
            let what = format!("{nbits}{coding}xQ{query_len}xL{len}");
            bench(&mut group, backend, what, Throughput::Elements(macs as u64), Work::Products(macs), || {
                backend.maxsim(&loaded, &query, &table, Select::All).expect("it does not fail")
            });
        });
    }
    group.finish();
}

/// A GPU's time has the way of the embeddings there in it.
fn maxsim_f32(c: &mut Criterion) {
    let mut group = c.benchmark_group("maxsim_f32");
    group.sample_size(10);
    let (query_len, len) = (32, 84);
    let query_rows = embeddings(query_len, 1000, 3);
    each_backend!(backend => {
        let num = backend.size(256, 4096);
        let rows = embeddings(num * len, 1000, 2);
        let offsets: Vec<usize> = (0..=num).map(|p| p * len).collect();
        let (what, macs) = (format!("Q{query_len}xL{len}"), query_len * num * len * DIM);
        bench(&mut group, backend, what, Throughput::Elements(macs as u64), Work::MultiplyAdds(macs), || {
            backend.maxsim_f32(DIM, &query_rows, &[0, query_len], &rows, &offsets).expect("it does not fail")
        });
    });
}

criterion_group!(benches, maxsim, maxsim_f32);
criterion_main!(benches);
