//! What this core, and a GPU, can do at most, for the others to be held against (`support/limits.rs`). One thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use std::hint::black_box;
use support::Timed;
use support::limits::{COPIED, ROUNDS, loops};

fn arithmetic(c: &mut Criterion) {
    let mut group = c.benchmark_group("peak");
    for body in loops() {
        group.throughput(Throughput::Elements(body.amount as u64));
        group.bench_function(body.name, |bench| bench.iter(|| body.run()));
    }
    group.finish();
}

fn copy(c: &mut Criterion) {
    let mut group = c.benchmark_group("peak");
    group.sample_size(10).throughput(Throughput::Bytes(COPIED as u64));
    let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
    group.bench_function("copy", |bench| bench.iter(|| black_box(&mut to).copy_from_slice(black_box(&from))));
}

fn gpu(c: &mut Criterion) {
    let Some(cuda) = support::gpu() else { return };
    let mut group = c.benchmark_group("peak");
    let rounds = cuda.size(ROUNDS, 4 * ROUNDS) as u32;
    let peak = cuda.peak(&vec![1; cuda.size(COPIED, 4 * COPIED)]).expect("it does not fail");
    let mut measure = |name: &str, amount: Throughput, run: &dyn Fn() -> selvedge_backend::Result<()>| {
        group.throughput(amount);
        group.bench_function(format!("{}/{name}", cuda.name()), |b| b.iter(|| run().expect("it does not fail")));
    };
    let macs = |each: usize| Throughput::Elements(each as u64 * u64::from(rounds));
    measure("multiply_adds", macs(peak.num_multiply_adds()), &|| peak.multiply_adds(rounds));
    measure("products", macs(peak.num_products()), &|| peak.products(rounds));
    measure("copy", Throughput::Bytes(peak.num_bytes() as u64), &|| peak.copy());
    group.finish();
}

criterion_group!(benches, arithmetic, copy, gpu);
criterion_main!(benches);
