//! Builds an index of documents in memory, with progress: `cargo run --release --example 02-build -- my.index`.
//!
//! `Engine::build` does the same for a folder or a file.

use selvedge::build::from_documents;
use selvedge::{
    BuildOptions, Document, Encoder, Engine, LoadOptions, OpenOptions, Progress, Result, SearchOptions, Step,
};

/// Prints each stage when it ends.
struct Stages;

impl Progress for Stages {
    fn report(&self, step: Step) {
        if step.total == Some(step.done) {
            println!("{}: {} {}", step.stage, step.done, step.unit);
        }
    }
}

fn main() -> Result<()> {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: 02-build INDEX");
        std::process::exit(2);
    };
    let texts = [
        ("weft", "The weft is drawn over and under the warp."),
        ("selvedge", "A selvedge is the woven edge that keeps a cloth from fraying."),
        ("shuttle", "A shuttle carries the weft across the loom."),
    ];
    // Documents can also come from a database or a stream: the iterator yields `Result`s.
    let documents = texts.into_iter().map(|(id, text)| {
        let metadata = serde_json::json!({"characters": text.len()});
        Ok(Document { id: id.into(), text: text.into(), metadata: Some(metadata) })
    });
    let encoder = Encoder::load("shipped", &LoadOptions::default())?;
    let options = BuildOptions { nbits: 4, ..BuildOptions::default() };
    let report = from_documents(documents, path.as_ref(), &encoder, &options, &Stages)?;
    println!("{} passages, {} tokens, {:.1} bytes per vector", report.passages, report.tokens, report.bytes_per_vector);

    let engine = Engine::open(path.as_ref(), OpenOptions::default())?;
    let hits = engine.search("what stops cloth from unravelling", &SearchOptions::default())?.hits;
    println!("best: {}", hits[0].id);
    Ok(())
}
