//! Tokens per second of the encoder on this machine.
//!
//! `cargo run --release -p selvedge-encoder --example throughput -- MODEL [THREADS] [TORCH.json]`
//!
//! MODEL is a plain BERT checkpoint (other families work too, with their markers counted). The third argument is what
//! `tests/golden/throughput.py MODEL THREADS > TORCH.json` printed; its numbers are shown beside ours.

use std::time::{Duration, Instant};

use selvedge_encoder::{Encoder, LoadOptions};

/// (texts, tokens of each).
const SHAPES: [(usize, usize); 4] = [(16, 64), (16, 128), (32, 180), (1, 32)];
/// Each shape is run for about this long.
const BUDGET: Duration = Duration::from_secs(4);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = arguments.first().ok_or("usage: throughput MODEL [THREADS] [TORCH.json]")?;
    let threads = arguments.get(1).map_or(Ok(1), |threads| threads.parse())?;
    let torch: serde_json::Value = match arguments.get(2) {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => serde_json::Value::Null,
    };
    println!("{threads} thread(s)\n\n| batch | tokens/s | torch | ours / torch |\n|---|---|---|---|");
    for (texts, tokens) in SHAPES {
        let encoder = Encoder::load(model, &LoadOptions { passage_maxlen: Some(tokens), ..LoadOptions::default() })?;
        // One common word per token, cut by the tokenizer at exactly `tokens`.
        let batch = vec!["the ".repeat(tokens); texts];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let ours = pool.install(|| measure(&encoder, &batch, texts * tokens))?;
        let shape = format!("{texts}x{tokens}");
        match torch.get(&shape).and_then(serde_json::Value::as_f64) {
            Some(torch) => println!("| {shape} | {ours:.0} | {torch:.0} | {:.2} |", ours / torch),
            None => println!("| {shape} | {ours:.0} | | |"),
        }
    }
    Ok(())
}

/// The median over repeated runs: other work on the machine only ever slows some of them.
fn measure(encoder: &Encoder, batch: &[String], tokens: usize) -> Result<f64, selvedge_encoder::Error> {
    encoder.encode_passages(batch)?;
    let start = Instant::now();
    let mut seconds = Vec::new();
    while start.elapsed() < BUDGET {
        let run = Instant::now();
        encoder.encode_passages(batch)?;
        seconds.push(run.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(tokens as f64 / seconds[seconds.len() / 2])
}
