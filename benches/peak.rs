//! What this core, and a GPU, can do at most, for the others to be held against: f32 multiply-adds and int8 products that
//! never leave the registers, and bytes copied from memory to memory. One thread.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Backend;
use std::hint::black_box;
use support::Timed;

/// Rounds of a loop over registers.
const ROUNDS: usize = 1 << 12;
/// Bytes that are copied: more than any cache holds.
const COPIED: usize = 1 << 28;

/// Sums that are added to in turn: more than the latency of an addition times the units that add.
#[cfg(target_arch = "x86_64")]
const CHAINS: usize = 16;
/// The same where there are sixteen registers, some of which hold what is multiplied.
#[cfg(target_arch = "x86_64")]
const CHAINS_256: usize = 12;

#[cfg(target_arch = "x86_64")]
mod registers {
    use super::{CHAINS, CHAINS_256, ROUNDS};
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// `CHAINS_256 * ROUNDS * 8` multiply-adds.
    #[target_feature(enable = "avx2,fma")]
    pub fn fma_256() {
        let (a, b) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(1e-3)));
        let mut sums = [a; CHAINS_256];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    /// `CHAINS * ROUNDS * 16` multiply-adds.
    #[target_feature(enable = "avx512f")]
    pub fn fma_512() {
        let (a, b) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(1e-3)));
        let mut sums = [a; CHAINS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    /// `CHAINS * ROUNDS * 64` products of bytes.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub fn dot_products_512() {
        let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(-5)));
        let mut sums = [a; CHAINS];
        for _ in 0..ROUNDS {
            sums.iter_mut().for_each(|sum| *sum = _mm512_dpbusd_epi32(*sum, a, b));
        }
        black_box(sums);
    }
}

#[cfg(target_arch = "x86_64")]
fn arithmetic(c: &mut Criterion) {
    let mut group = c.benchmark_group("peak");
    let mut measure = |name: &str, macs: usize, available: bool, body: unsafe fn()| {
        if !available {
            eprintln!("skipped: no {name} here");
            return;
        }
        group.throughput(Throughput::Elements(macs as u64));
        // SAFETY: the instructions are there.
        group.bench_function(name, |bench| bench.iter(|| unsafe { body() }));
    };
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f");
    measure("fma_256", CHAINS_256 * ROUNDS * 8, avx2, registers::fma_256);
    measure("fma_512", CHAINS * ROUNDS * 16, avx512, registers::fma_512);
    let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
    measure("dot_products_512", CHAINS * ROUNDS * 64, vnni, registers::dot_products_512);
    group.finish();
}

#[cfg(not(target_arch = "x86_64"))]
fn arithmetic(_: &mut Criterion) {
    eprintln!("skipped: peaks of arithmetic are measured on x86-64 only");
}

fn copy(c: &mut Criterion) {
    let mut group = c.benchmark_group("peak");
    group.sample_size(10).throughput(Throughput::Bytes(COPIED as u64));
    let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
    group.bench_function("copy", |bench| bench.iter(|| black_box(&mut to).copy_from_slice(black_box(&from))));
}

/// The same of a GPU: products in its tensor cores (`mma.sync`), copies from its memory to its memory.
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
