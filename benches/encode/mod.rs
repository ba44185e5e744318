//! Throughput of encoders, texts to embeddings: tokens per second.
//!
//! selvedge starts from strings: its time includes tokenizing, projection and unit length, in f32 and in int8.
//! candle-transformers runs beside it on the same token ids, in f32 (see `candle.rs`). Shapes are texts x tokens: one
//! query, batches of equal length, texts of many lengths, and prose.
//!
//! Models: the shipped one, and each of `SELVEDGE_BENCH_MODELS`, folders or hub ids separated by commas
//! (candle reads folders only). `tests/golden/throughput.py` measures PyTorch and ONNX Runtime at the same shapes.

mod candle;

use crate::support::report::{Subject, Units, Work};
use crate::support::{Bench, Selected};
use candle::Stock;
use selvedge_backend::{Backend, Cpu};
use selvedge_encoder::{Encoder, LoadOptions, Precision, Result, TextKind, shipped};
use std::path::Path;

/// Number of words of a passage of prose: about 100 tokens of BERT's vocabulary, because the text has many figures.
const WORDS: usize = 55;
const PASSAGES: usize = 128;
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/encoder/shipped");

/// Texts to encode.
#[derive(Clone, Copy)]
enum Shape {
    /// Texts of a number of tokens each.
    Equal { texts: usize, tokens: usize },
    /// Texts of 20 to 200 words, each a token.
    Ragged,
    /// Windows of a text on this project.
    Prose,
}

use Shape::{Equal, Prose, Ragged};

/// Default shapes: a query, a batch, and prose. A full run adds more batches, and texts of unlike lengths.
const SHAPES: [Shape; 3] = [Equal { texts: 1, tokens: 32 }, Equal { texts: 32, tokens: 180 }, Prose];
const MORE_SHAPES: [Shape; 3] = [Equal { texts: 16, tokens: 64 }, Equal { texts: 16, tokens: 128 }, Ragged];

impl Shape {
    fn name(self) -> String {
        match self {
            Equal { texts, tokens } => format!("{texts}x{tokens}"),
            Ragged => "ragged".to_owned(),
            Prose => "prose".to_owned(),
        }
    }

    fn texts(self) -> Vec<String> {
        match self {
            // One common word per token; the encoder cuts them at exactly this number of tokens.
            Equal { texts, tokens } => vec!["the ".repeat(tokens); texts],
            // As long as the texts of "passages" in `throughput.py`, apart from special tokens.
            Ragged => (0..PASSAGES).map(|at| "the ".repeat(20 + 37 * at % 181)).collect(),
            Prose => {
                let words: Vec<&str> = include_str!("../support/prose.txt").split_whitespace().collect();
                let windows = words.windows(WORDS).step_by((words.len() - WORDS) / PASSAGES);
                windows.take(PASSAGES).map(|window| window.join(" ")).collect()
            }
        }
    }

    /// Loads a model that cuts passages at the length of these texts.
    fn encoder(self, model: &str, precision: Precision) -> Result<Encoder> {
        let passage_maxlen = if let Equal { tokens, .. } = self { Some(tokens) } else { None };
        Encoder::load(model, &LoadOptions { precision: Some(precision), passage_maxlen, ..LoadOptions::default() })
    }
}

pub fn run(bench: &mut Bench<'_>) {
    let named = std::env::var("SELVEDGE_BENCH_MODELS").unwrap_or_default();
    let models = [shipped::NAME].into_iter().chain(named.split(',').filter(|name| !name.is_empty()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for model in models {
        for shape in bench.shapes(&SHAPES, &MORE_SHAPES) {
            for precision in [Precision::Int8, Precision::F32] {
                for threads in bench.shapes(&[cores], if cores > 1 { &[1] } else { &[] }) {
                    ours(bench, model, shape, precision, threads);
                }
            }
            stock(bench, model, shape, cores);
        }
    }
}

/// selvedge's encoder, from strings to embeddings.
fn ours(bench: &mut Bench<'_>, model: &str, shape: Shape, precision: Precision, threads: usize) {
    let cpu = Cpu::new().expect("the harness made one");
    let of = if precision == Precision::Int8 { "int8" } else { "f32" };
    let Some(row) = bench.row_of(subject("selvedge", cpu.name(), model, shape, of, threads)) else { return };
    let encoder = match shape.encoder(model, precision) {
        Ok(encoder) => encoder,
        Err(error) => return eprintln!("skipped: {error}"),
    };
    let texts = shape.texts();
    time(row, &encoder, &texts, threads, || encoder.encode_passages(&texts).expect("plain text"));
}

/// candle-transformers' model, from token ids to hidden states, if it reads this checkpoint.
fn stock(bench: &mut Bench<'_>, model: &str, shape: Shape, threads: usize) {
    let Some(row) = bench.row_of(subject("candle", "candle".to_owned(), model, shape, "f32", threads)) else { return };
    let stock = Stock::load(Path::new(if model == shipped::NAME { SHIPPED } else { model }));
    let (Some(stock), Ok(encoder)) = (stock, shape.encoder(model, Precision::F32)) else {
        return eprintln!("skipped: candle does not read {model}");
    };
    let texts = shape.texts();
    let ids = encoder.pipeline().tokenize(&texts, TextKind::Passage).expect("plain text");
    time(row, &encoder, &texts, threads, || stock.encode(&ids).expect("it does not fail"));
}

fn subject(engine: &'static str, backend: String, model: &str, shape: Shape, of: &str, threads: usize) -> Subject {
    // A model is named by the last part of its path or hub id.
    let model = model.rsplit('/').next().unwrap_or(model);
    Subject { op: "encode".to_owned(), engine, backend, threads, shape: format!("{model} {of} {}", shape.name()) }
}

/// Times a call over the tokens of `texts` on a pool of `threads`, against the products of `encoder`'s layers.
fn time<O: Send>(
    row: Selected<'_>,
    encoder: &Encoder,
    texts: &[String],
    threads: usize,
    call: impl Fn() -> O + Send + Sync,
) {
    let tokens = encoder.count_tokens(texts).expect("plain text");
    let macs = tokens * encoder.multiply_adds();
    let work = if encoder.precision() == Precision::Int8 { Work::int8(macs) } else { Work::f32(macs) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let cpu = Cpu::new().expect("the harness made one");
    row.time(&cpu, Units { amount: tokens, unit: "tokens" }, work, || pool.install(&call));
}
