//! An index that changes while it is searched: passages added and deleted one by one, many segments beside one, and
//! readers beside a writer.
//!
//! ```text
//! cargo bench --bench living -- --index DIR --embeddings DOCS.npy --doclens LENS.npy [--parts single,segments,readers]
//! ```
//!
//! In: an index that was made from embeddings (`selvedge index --embeddings`), and more embeddings of the same kind.
//! Passages of the second are added, and their first 32 tokens are the queries. The index is left as it is: its large
//! files, which never change, are linked into the scratch folder, so that this folder must be on the same disk. Out:
//! one CSV row per figure on standard output.
//!
//! * **single**: one passage added, followed and found, by the default policy of merging; one id deleted; ids looked
//!   up; an index of 100 segments opened.
//! * **segments**: the passages of the index as one segment and as twenty, searched in turns. The hits must be equal.
//! * **policy**: passages added one by one by several policies of merging.
//! * **filters**: searches within filters, of the passages of the index with metadata that is made up, or with its own
//!   metadata by `--filters`.
//! * **readers**: 16 threads search, alone and then beside a writer that adds, deletes and merges. Every reader checks
//!   the generations and its hits against what the writer did.

#![allow(missing_docs, unreachable_pub)] // a benchmark exports nothing

mod filters;
mod options;
mod policy;
mod readers;
mod segments;
mod single;
mod supply;

use clap::Parser;
use options::{Options, Part};
use std::process::ExitCode;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let options = Options::parse();
    // `cargo test --benches` runs benchmarks without --bench; this one needs an index and takes minutes.
    if !options.bench {
        println!("living: run by `cargo bench --bench living`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("living: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    println!("what,count,median_ms,p99_ms,max_ms");
    for part in &options.parts {
        match part {
            Part::Single => single::run(options)?,
            Part::Segments => segments::run(options)?,
            Part::Policy => policy::run(options)?,
            Part::Readers => readers::run(options)?,
            Part::Filters => filters::run(options)?,
        }
    }
    Ok(())
}

/// Prints the row of some times in milliseconds, which are sorted; returns the 99th percentile.
pub fn print(what: &str, times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().max(1) - 1)).copied();
    let [median, p99, most] = [0.5, 0.99, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
    println!("{what},{},{median:.4},{p99:.4},{most:.4}", times.len());
    p99
}

/// Milliseconds that `work` takes, and its result.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = std::time::Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64() * 1e3, result)
}
