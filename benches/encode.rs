//! Texts to embeddings, tokens a second and the part of the machine's limit, from ready strings: tokenizing and unit length are
//! in it. Batches of like length, a query, texts of unlike length, and this project's own prose, in f32 and in int8, on one
//! thread and on all. The shipped model, and those of `SELVEDGE_BENCH_MODELS`, folders or hub ids with a comma between.
//! `tests/golden/throughput.py` measures PyTorch and ONNX Runtime at the same shapes.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Cpu;
use selvedge_encoder::{Encoder, LoadOptions, Precision, shipped};
use std::collections::BTreeSet;
use support::{Work, bench};

/// (texts, tokens of each).
const BATCHES: [(usize, usize); 3] = [(16, 64), (16, 128), (32, 180)];
const QUERY_TOKENS: usize = 32;
/// Words of a passage: 100 tokens, of BERT's vocabulary, in this prose with its many figures.
const WORDS: usize = 55;
const PASSAGES: usize = 128;

/// Windows of an earlier README of this project, which stays as it is so that figures can be compared.
fn prose() -> Vec<String> {
    let words: Vec<&str> = include_str!("support/prose.txt").split_whitespace().collect();
    let windows = words.windows(WORDS).step_by((words.len() - WORDS) / PASSAGES);
    windows.take(PASSAGES).map(|window| window.join(" ")).collect()
}

/// 20 to 200 words, each a token: as long as "passages" in `throughput.py`, but for markers.
fn ragged() -> Vec<String> {
    (0..PASSAGES).map(|at| "the ".repeat(20 + 37 * at % 181)).collect()
}

/// A model, of one precision, cutting passages at so many tokens.
fn load(model: &str, precision: Precision, tokens: Option<usize>) -> Encoder {
    let options = LoadOptions { precision: Some(precision), passage_maxlen: tokens, ..LoadOptions::default() };
    Encoder::load(model, &options).expect("a checkpoint")
}

fn encode(c: &mut Criterion) {
    let named = std::env::var("SELVEDGE_BENCH_MODELS").unwrap_or_default();
    let models = [shipped::NAME].into_iter().chain(named.split(',').filter(|name| !name.is_empty()));
    let cpu = Cpu::new().expect("an instruction set");
    let unlike = [("ragged", ragged()), ("prose", prose())];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut group = c.benchmark_group("encode");
    group.sample_size(10);
    for model in models {
        // A folder's last name.
        let name = model.rsplit('/').next().unwrap_or(model);
        for (precision, of) in [(Precision::F32, "f32"), (Precision::Int8, "int8")] {
            for threads in BTreeSet::from([1, cores]) {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                let mut measure = |what: &str, encoder: &Encoder, texts: &[String], tokens: usize| {
                    let what = format!("{name}/{of}/{threads}/{what}");
                    let macs = tokens * encoder.multiply_adds();
                    let work = if of == "f32" { Work::MultiplyAdds(macs) } else { Work::Products(macs) };
                    // The limits are one core's.
                    let work = work.divided(threads);
                    bench(&mut group, &cpu, what, Throughput::Elements(tokens as u64), work, || {
                        pool.install(|| encoder.encode_passages(texts).expect("plain text"))
                    });
                };
                for (texts, tokens) in BATCHES.into_iter().chain([(1, QUERY_TOKENS)]) {
                    let encoder = load(model, precision, Some(tokens));
                    // One common word a token, cut at exactly so many.
                    let batch = vec!["the ".repeat(tokens); texts];
                    measure(&format!("{texts}x{tokens}"), &encoder, &batch, texts * tokens);
                }
                let encoder = load(model, precision, None);
                for (what, texts) in &unlike {
                    let tokens = encoder.count_tokens(texts).expect("plain text");
                    measure(what, &encoder, texts, tokens);
                }
            }
        }
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
