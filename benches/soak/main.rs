//! A server that lives for a while: `cargo bench --bench soak -- SELVEDGE_BINARY DOCUMENTS.jsonl [MINUTES]`.
//!
//! Searches, writes, deletions, merges, listeners and clients that hang up share one server process. Every answer is
//! compared with the writes that were acknowledged. In the middle the process is killed, its index is verified, and
//! another process starts on the same folder; every acknowledged write must be there then, and at the end. Exits with
//! status 1 if anything was wrong.
//!
//! | file | contents |
//! |---|---|
//! | `process.rs` | the server as a child process, and its resources |
//! | `client.rs` | requests, and the tally of their answers |
//! | `model.rs` | expected contents of the index |
//! | `readers.rs` | searches, look-ups, explanations, cursors |
//! | `writers.rs` | additions, replacements, deletions, merges, a second index |
//! | `visitors.rs` | listeners, and clients that hang up |
//! | `audit.rs` | comparison of the whole index with the model |

#![allow(unreachable_pub)] // nothing imports a bench

mod audit;
mod client;
mod model;
mod process;
mod readers;
mod visitors;
mod writers;

use client::{Client, Tally};
use model::Model;
use process::{Process, Sample};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Name of the index under load.
pub const INDEX: &str = "soak";
/// Threads that search.
const SEARCHERS: u64 = 4;
/// Time between two lines of the report, unless the whole run is short.
const PAUSE: Duration = Duration::from_secs(30);
/// Time after which a process has grown to its size under load.
const WARM_UP: Duration = Duration::from_secs(120);

/// Parts of the load that run beside each other.
pub struct Load<'a> {
    /// The server.
    pub process: &'a Process,
    /// Counts of all answers.
    pub tally: &'a Tally,
    /// Expected contents of the index.
    pub model: &'a Model,
    /// Number that makes seeds differ between the processes.
    pub part: u64,
}

impl Load<'_> {
    /// A client of its own for each thread.
    pub fn client(&self) -> Client<'_> {
        Client::new(&self.process.base, self.tally)
    }

    /// The random numbers of a thread.
    pub fn random(&self, thread: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.part * 1000 + thread)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [binary, documents, rest @ ..] = words.as_slice() else {
        eprintln!("usage: cargo bench --bench soak -- SELVEDGE_BINARY DOCUMENTS.jsonl [MINUTES]");
        return ExitCode::from(2);
    };
    let minutes: f64 = rest.first().map_or(20.0, |text| text.parse().expect("a number of minutes"));
    let half = Duration::from_secs_f64(minutes * 30.0);
    let binary = std::fs::canonicalize(binary).expect("the program selvedge");
    let model = Model::new(texts(Path::new(documents)));
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let tally = Tally::default();

    let mut process = Process::start(&binary, &data);
    let client = Client::new(&process.base, &tally);
    writers::fill(&client, &model);
    let before = part(&process, &tally, &model, half, 1, true);
    drop(client);
    process.wait_after_kill();
    tally.begin_again();
    verify(&binary, &data, &tally);

    let mut process = Process::start(&binary, &data);
    audit::audit(&Client::new(&process.base, &tally), &tally, &model, "after the kill");
    let after = part(&process, &tally, &model, half, 2, false);
    audit::audit(&Client::new(&process.base, &tally), &tally, &model, "at the end");
    if !process.end() {
        tally.fail("the server did not end well");
    }
    verify(&binary, &data, &tally);
    growth("first", &before);
    growth("second", &after);
    tally.summary();
    if tally.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads texts of a collection that differ in their beginnings, which is all that the model takes of a query.
fn texts(path: &Path) -> Vec<String> {
    let lines = std::fs::read_to_string(path).expect("documents");
    let mut seen = std::collections::HashSet::new();
    let text = |line: &str| {
        let document: serde_json::Value = serde_json::from_str(line).expect("a document in JSON");
        document["text"].as_str().map(str::to_owned)
    };
    let mut texts: Vec<String> = lines.lines().filter_map(text).collect();
    texts.retain(|text| text.len() >= 60 && seen.insert(text.chars().take(60).collect::<String>()));
    texts
}

/// Runs the whole load on a process, which is killed under it or not.
fn part(process: &Process, tally: &Tally, model: &Model, time: Duration, part: u64, is_killed: bool) -> Vec<Sample> {
    let load = &Load { process, tally, model, part };
    let started = Instant::now();
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..SEARCHERS {
            scope.spawn(move || readers::search(load, thread));
        }
        scope.spawn(|| writers::write(load));
        scope.spawn(|| writers::delete(load));
        scope.spawn(|| writers::merge(load));
        scope.spawn(|| writers::second_index(load));
        scope.spawn(|| visitors::listen(load));
        scope.spawn(|| visitors::hang_up(load));
        let client = load.client();
        let pause = PAUSE.min(time / 4);
        while started.elapsed() < time {
            std::thread::sleep(pause.min(time.saturating_sub(started.elapsed())));
            let sample = process.sample(started.elapsed(), &client);
            println!("{part}: {sample}; {}", tally.line());
            samples.push(sample);
        }
        if is_killed {
            tally.kill(process);
        }
        tally.stop();
    });
    tally.go_on();
    samples
}

/// Checks every byte of the index on disk.
fn verify(binary: &Path, data: &Path, tally: &Tally) {
    let index: PathBuf = data.join(INDEX).join("index");
    let output = std::process::Command::new(binary).arg("verify").arg(index).output().expect("selvedge verify");
    if !output.status.success() {
        tally.fail(&format!("verify: {}", String::from_utf8_lossy(&output.stderr)));
    }
}

/// Prints the memory of a process at the end of its warm-up and of its time, and the slope between them.
fn growth(name: &str, samples: &[Sample]) {
    let Some(last) = samples.last() else { return };
    // A short run has no time to warm up: its second half counts.
    let warm = WARM_UP.min(last.at / 2);
    let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.at >= warm).collect();
    let count = samples.len() as f64;
    let minutes = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
    let mean = |value: &dyn Fn(&Sample) -> f64| samples.iter().map(|sample| value(sample)).sum::<f64>() / count;
    let slope = |value: &dyn Fn(&Sample) -> f64| {
        let (x, y) = (mean(&minutes), mean(value));
        let covariance: f64 = samples.iter().map(|sample| (minutes(sample) - x) * (value(sample) - y)).sum();
        let variance: f64 = samples.iter().map(|sample| (minutes(sample) - x).powi(2)).sum();
        if variance > 0.0 { covariance / variance } else { f64::NAN }
    };
    println!(
        "{name} process: RSS {:.1} MiB after {:.1} min, {:.1} MiB at its end ({:+.2} MiB/min); anonymous {:.1} and \
         {:.1} MiB ({:+.2} MiB/min)",
        samples[0].rss,
        minutes(samples[0]),
        last.rss,
        slope(&|sample| sample.rss),
        samples[0].anon,
        last.anon,
        slope(&|sample| sample.anon),
    );
}
