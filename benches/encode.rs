//! Passages to embeddings: passages a second, one thread. The shipped model, and those of `SELVEDGE_BENCH_MODELS`, folders
//! or hub ids with a comma between.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_encoder::{Encoder, LoadOptions, shipped};

/// Words of a passage: 100 tokens, of BERT's vocabulary, in this prose with its many figures.
const WORDS: usize = 55;
const PASSAGES: usize = 128;

/// Windows of this project's own prose.
fn passages() -> Vec<String> {
    let words: Vec<&str> = include_str!("../README.md").split_whitespace().collect();
    let windows = words.windows(WORDS).step_by((words.len() - WORDS) / PASSAGES);
    windows.take(PASSAGES).map(|window| window.join(" ")).collect()
}

fn encode(c: &mut Criterion) {
    // One thread for all.
    let _ = support::cpus();
    let named = std::env::var("SELVEDGE_BENCH_MODELS").unwrap_or_default();
    let models = [shipped::NAME].into_iter().chain(named.split(',').filter(|name| !name.is_empty()));
    let passages = passages();
    let mut group = c.benchmark_group("encode");
    group.sample_size(10).throughput(Throughput::Elements(passages.len() as u64));
    for model in models {
        let encoder = Encoder::load(model, &LoadOptions::default()).expect("a checkpoint");
        let tokens = encoder.encode_passages(&passages).expect("plain text").num_embeddings();
        eprintln!("{model}: {} tokens a passage", tokens / passages.len());
        group.bench_function(BenchmarkId::from_parameter(model), |b| {
            b.iter(|| encoder.encode_passages(&passages).expect("plain text"));
        });
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
