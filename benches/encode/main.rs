//! Throughput of encoders, texts to embeddings, in tokens per second and as a share of the machine's limit.
//!
//! Ours starts from strings, so tokenizing, projection and unit length are in its time, in f32 and in int8. candle-transformers
//! runs beside it on the same token ids, in f32 (see `candle.rs`). Shapes: batches of like length, one query, texts of unlike
//! length, and prose. Threads: one and all; `RAYON_NUM_THREADS=1` keeps candle, too, to one.
//!
//! Models: the shipped one, and those of `SELVEDGE_BENCH_MODELS`, folders or hub ids separated by commas (candle reads folders
//! only). `tests/golden/throughput.py` measures PyTorch and ONNX Runtime at the same shapes.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod candle;
#[path = "../support/mod.rs"]
mod support;

use candle::Stock;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::Cpu;
use selvedge_encoder::{Encoder, LoadOptions, Precision, TextKind, shipped};
use std::collections::BTreeSet;
use std::path::Path;
use support::{Work, bench};

/// (texts, tokens of each).
const BATCHES: [(usize, usize); 3] = [(16, 64), (16, 128), (32, 180)];
const QUERY_TOKENS: usize = 32;
/// Words of a passage: 100 tokens, of BERT's vocabulary, in this prose with its many figures.
const WORDS: usize = 55;
const PASSAGES: usize = 128;
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/encoder/shipped");

/// Windows of an earlier README of this project, which stays as it is so that figures can be compared.
fn prose() -> Vec<String> {
    let words: Vec<&str> = include_str!("../support/prose.txt").split_whitespace().collect();
    let windows = words.windows(WORDS).step_by((words.len() - WORDS) / PASSAGES);
    windows.take(PASSAGES).map(|window| window.join(" ")).collect()
}

/// 20 to 200 words, each a token: as long as "passages" in `throughput.py`, but for special tokens.
fn ragged() -> Vec<String> {
    (0..PASSAGES).map(|at| "the ".repeat(20 + 37 * at % 181)).collect()
}

/// Loads a model that cuts passages at `tokens`.
fn load(model: &str, precision: Precision, tokens: Option<usize>) -> Encoder {
    let options = LoadOptions { precision: Some(precision), passage_maxlen: tokens, ..LoadOptions::default() };
    Encoder::load(model, &options).expect("a checkpoint")
}

/// Every shape: its name, the length that passages are cut at, and its texts.
fn shapes() -> Vec<(String, Option<usize>, Vec<String>)> {
    let mut shapes: Vec<_> = BATCHES
        .into_iter()
        .chain([(1, QUERY_TOKENS)])
        // One common word per token, cut at exactly the length asked for.
        .map(|(texts, tokens)| (format!("{texts}x{tokens}"), Some(tokens), vec!["the ".repeat(tokens); texts]))
        .collect();
    shapes.push(("ragged".to_owned(), None, ragged()));
    shapes.push(("prose".to_owned(), None, prose()));
    shapes
}

/// Measures one call on one batch of `encoder`'s tokens.
fn measure<O>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    what: String,
    threads: usize,
    (encoder, texts): (&Encoder, &[String]),
    call: impl Fn() -> O + Send + Sync,
) where
    O: Send,
{
    let cpu = Cpu::new().expect("an instruction set");
    let tokens = encoder.count_tokens(texts).expect("plain text");
    let macs = tokens * encoder.multiply_adds();
    let work = match encoder.precision() {
        Precision::F32 => Work::MultiplyAdds(macs),
        Precision::Int8 => Work::Products(macs),
    };
    // The limits are those of one core.
    bench(group, &cpu, what, Throughput::Elements(tokens as u64), work.divided(threads), call);
}

fn encode(c: &mut Criterion) {
    let named = std::env::var("SELVEDGE_BENCH_MODELS").unwrap_or_default();
    let models = [shipped::NAME].into_iter().chain(named.split(',').filter(|name| !name.is_empty()));
    let cores = rayon::current_num_threads();
    let mut group = c.benchmark_group("encode");
    group.sample_size(10);
    for model in models {
        // The last name of a folder.
        let name = model.rsplit('/').next().unwrap_or(model);
        let stock = Stock::load(Path::new(if model == shipped::NAME { SHIPPED } else { model }));
        for (shape, tokens, texts) in shapes() {
            for (precision, of) in [(Precision::F32, "f32"), (Precision::Int8, "int8")] {
                let encoder = load(model, precision, tokens);
                for threads in BTreeSet::from([1, cores]) {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                    let what = format!("{name}/{of}/{threads}/{shape}");
                    measure(&mut group, what, threads, (&encoder, &texts), || {
                        pool.install(|| encoder.encode_passages(&texts).expect("plain text"))
                    });
                }
            }
            if let Some(stock) = &stock {
                let encoder = load(model, Precision::F32, tokens);
                let ids = encoder.pipeline().tokenize(&texts, TextKind::Passage).expect("plain text");
                let what = format!("{name}/candle-f32/{cores}/{shape}");
                measure(&mut group, what, cores, (&encoder, &texts), || stock.encode(&ids).expect("it does not fail"));
            }
        }
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
