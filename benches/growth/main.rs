//! Growth of query time, build time, bytes and memory with the collection, from 10,000 passages to a million.
//!
//! ```text
//! cargo bench --bench growth -- --sizes 10000,30000,100000 --mean-len 32 --embeddings DIR
//! ```
//!
//! In: a folder of real embeddings (`--embeddings` or SELVEDGE_EMBEDDINGS), or synthetic clusters. Collections of each
//! size with the statistics of these embeddings are generated (`synth.rs`), streamed and never stored. Out: CSV on
//! standard output and a plot.
//!
//! Columns:
//!
//! * **build_s**: wall time of the build that `selvedge index` runs, on rayon's pool (RAYON_NUM_THREADS), from the
//!   sample to the index in place. Generating the passages, which alternates with it, is excluded.
//! * **peak_mb**: largest resident size of the building process, including the embeddings that it held at a time.
//! * **p50_ms, p95_ms**: one query at a time on one thread, index warm, without query encoding; best of three per
//!   query. Row `growth`: the fastest search parameters whose recall@10 of exact f32 MaxSim reaches `--recall`; if none
//!   does, `reached` is 0 and the row has the best recall. Row `growth-default`: the defaults. Row `growth-exhaustive`:
//!   every passage scored, one pass.
//! * **table_ms, candidates_ms, score_ms**: mean times of the stages of the search: centroid table and probe;
//!   candidates and their approximate scores; MaxSim.
//! * **query_peak_mb**: largest resident size of the searching process, including mapped pages.
//!
//! The build, the ground truth and the queries of a size run in separate processes. Indexes are kept (`options.rs`); a
//! size that has one is only searched again.

#![allow(missing_docs, unreachable_pub)] // a benchmark exports nothing

mod error;
mod fit;
#[path = "../support/ink.rs"]
mod ink;
mod made_up;
mod options;
mod plot;
mod recipe;
mod stages;
mod synth;

use clap::Parser;
use error::{Error, Result};
use fit::Fit;
use options::{Options, Stage};
use plot::{Panel, Series};
use selvedge_backend::{Backend, Cpu};
use stages::{Built, Measured, Queried};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match (options.stage, options.of) {
        (Some(stage), Some(passages)) => run(&options, stage, passages),
        // `cargo test --benches` runs benchmarks without --bench; this one takes minutes.
        _ if !options.bench => {
            println!("growth: run by `cargo bench --bench growth`");
            Ok(())
        }
        _ => measure(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one stage in this process.
fn run(options: &Options, stage: Stage, passages: usize) -> Result<()> {
    match stage {
        Stage::Recipe => stages::prepare(options),
        Stage::Build => stages::build(options, passages),
        Stage::Truth => stages::truth(options, passages),
        Stage::Query => stages::query(options, passages),
    }
}

/// Runs one stage in a new process.
fn spawn(stage: Stage, passages: usize) -> Result<()> {
    let this = std::env::current_exe().map_err(|source| Error::Io { path: "growth".into(), source })?;
    let mut command = Command::new(&this);
    command.args(std::env::args_os().skip(1)).args(["--stage", stage.name(), "--of", &passages.to_string()]);
    let status = command.status().map_err(Error::io(&this))?;
    if status.success() { Ok(()) } else { Err(Error::Stage { stage: stage.name(), passages, status }) }
}

/// Runs the missing stages of every size, prints its rows, and then the fits and the plot.
fn measure(options: &Options) -> Result<()> {
    if !recipe::is_kept(&options.source_dir()) {
        spawn(Stage::Recipe, 0)?;
    }
    head(options)?;
    let mut sizes = options.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let mut rows = Vec::with_capacity(sizes.len());
    for passages in sizes {
        let folder = options.size_dir(passages);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        if !options.built(passages).exists() {
            spawn(Stage::Build, passages)?;
        }
        if !options.truth(passages).exists() {
            spawn(Stage::Truth, passages)?;
        }
        spawn(Stage::Query, passages)?;
        let row: (Built, Queried) =
            (stages::kept(&options.built(passages))?, stages::kept(&options.queried(passages))?);
        print(&row, options.recall);
        rows.push(row);
    }
    finish(options, &rows)
}

/// Prints the settings and the names of the columns.
fn head(options: &Options) -> Result<()> {
    let Options { nbits, mean_len, queries, recall, seed, memory_budget_mib, .. } = options;
    println!(
        "# growth: {}, passages of {mean_len} tokens, {nbits} bits, {queries} queries, recall@10 >= {recall}, \
         seed {seed}, memory budget {memory_budget_mib} MiB, {}",
        options.source_name(),
        Cpu::new()?.name(),
    );
    println!(
        "what,passages,tokens,K,build_s,peak_mb,bytes_per_vector,open_ms,nprobe,num_rescored,recall@10,p50_ms,p95_ms,\
         reached,table_ms,candidates_ms,score_ms,query_peak_mb,build_threads,making_s"
    );
    Ok(())
}

/// Prints the rows of one size.
fn print((built, queried): &(Built, Queried), recall: f64) {
    let line = |what: &str, a: &Measured| {
        println!(
            "{what},{},{},{},{:.2},{:.0},{:.2},{:.2},{},{},{:.4},{:.3},{:.3},{},{:.3},{:.3},{:.3},{:.0},{},{:.1}",
            queried.passages,
            queried.tokens,
            queried.centroids,
            built.seconds,
            built.peak_mb,
            queried.bytes_per_vector,
            queried.open_ms,
            a.nprobe,
            a.num_rescored,
            a.recall,
            a.p50_ms,
            a.p95_ms,
            u8::from(a.recall >= recall),
            a.probe_ms,
            a.candidates_ms,
            a.score_ms,
            queried.peak_mb,
            built.threads,
            built.making_seconds,
        );
    };
    line("growth", &queried.cheapest);
    line("growth-default", &queried.default);
    if let Some(exhaustive) = &queried.exhaustive {
        line("growth-exhaustive", exhaustive);
    }
}

/// Prints the fits and writes the plot. Times at equal recall exclude the sizes that do not reach it.
fn finish(options: &Options, rows: &[(Built, Queried)]) -> Result<()> {
    let series = |name: &str, color, of: &dyn Fn(&Built, &Queried) -> Option<f64>| {
        let point = |(built, queried): &(Built, Queried)| Some((queried.passages as f64, of(built, queried)?));
        let points: Vec<(f64, f64)> = rows.iter().filter_map(point).collect();
        let fit = Fit::through(&points);
        if let Some(fit) = &fit {
            println!("fit,{name},exponent,{:.3},factor,{:.3e},r2,{:.4}", fit.exponent, fit.factor, fit.r2);
        }
        Series { name: name.into(), color, points, fit }
    };
    let reached = |a: &Measured, ms: f64| (a.recall >= options.recall).then_some(ms);
    let times = vec![
        series("median", "#2f81f7", &|_, q| reached(&q.cheapest, q.cheapest.p50_ms)),
        series("p95", "#d29922", &|_, q| reached(&q.cheapest, q.cheapest.p95_ms)),
        series("defaults", "#3fb950", &|_, q| Some(q.default.p50_ms)),
    ];
    let costs = vec![
        series("build s", "#a371f7", &|b, _| Some(b.seconds)),
        series("peak MB", "#db6d28", &|b, _| Some(b.peak_mb).filter(|mb| mb.is_finite())),
    ];
    let title = format!("ms per query, one thread; median, p95 at recall@10 >= {}", options.recall);
    let picture =
        plot::svg(&[Panel { title, series: times }, Panel { title: "build, seconds and MB".into(), series: costs }]);
    let path = options.plot();
    std::fs::write(&path, picture).map_err(Error::io(&path))?;
    eprintln!("plot: {}", path.display());
    Ok(())
}
