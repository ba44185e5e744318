//! Bytes back to vectors: bytes of vectors a second, one thread. A GPU's time has their way back in it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use support::{DIM, Timed, Work, bench, codec, passages};

fn decompress(c: &mut Criterion) {
    let mut group = c.benchmark_group("decompress");
    group.sample_size(20);
    let len = 84;
    for nbits in [1, 2, 4] {
        let codec = codec(nbits, 1024);
        each_backend!(backend => {
            let num = backend.size(256, 4096);
            let resident = backend.load_codec(codec.params.clone()).expect("valid");
            let loaded = backend.load_passages(&resident, passages(&codec, num, len)).expect("valid");
            let bytes = num * len * DIM * size_of::<f32>();
            let what = format!("{nbits}bitxD{DIM}");
            bench(&mut group, backend, what, Throughput::Bytes(bytes as u64), Work::Moved(bytes), || {
                backend.decompress(&loaded, 0..num * len).expect("it does not fail")
            });
        });
    }
}

criterion_group!(benches, decompress);
criterion_main!(benches);
