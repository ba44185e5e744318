//! Passages to embeddings, passages a second, and one query, on one thread, in f32 and in int8. The shipped model, and those of `SELVEDGE_BENCH_MODELS`, folders
//! or hub ids with a comma between.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_encoder::{Encoder, LoadOptions, Precision, shipped};

/// Words of a passage: 100 tokens, of BERT's vocabulary, in this prose with its many figures.
const WORDS: usize = 55;
const PASSAGES: usize = 128;
/// Words of a query: some 32 tokens.
const QUERY_WORDS: usize = 18;

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
    let query = [passages[0].split(' ').take(QUERY_WORDS).collect::<Vec<_>>().join(" ")];
    for model in models {
        // A folder's last name.
        let name = model.rsplit('/').next().unwrap_or(model);
        for (precision, of) in [(Precision::F32, "f32"), (Precision::Int8, "int8")] {
            let options = LoadOptions { precision, ..LoadOptions::default() };
            let encoder = Encoder::load(model, &options).expect("a checkpoint");
            let tokens = encoder.encode_passages(&passages).expect("plain text").num_embeddings();
            eprintln!("{model}: {} tokens kept of a passage", tokens / passages.len());
            let mut group = c.benchmark_group("encode");
            group.sample_size(10).throughput(Throughput::Elements(passages.len() as u64));
            group.bench_function(BenchmarkId::new(name, of), |b| {
                b.iter(|| encoder.encode_passages(&passages).expect("plain text"));
            });
            group.finish();
            let mut group = c.benchmark_group("encode_query");
            group.bench_function(BenchmarkId::new(name, of), |b| {
                b.iter(|| encoder.encode_queries(&query).expect("plain text"));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
