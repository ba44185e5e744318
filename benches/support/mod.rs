//! The harness of the benchmarks: selects rows, times them, and reports them as one table.
//!
//! ```text
//! cargo bench                          every op at the shapes of a search: at most five minutes on two cores
//! cargo bench --bench maxsim           one op
//! cargo bench -- 'maxsim/' nbits=4     rows whose name (op/backend/shape) contains one of these
//! cargo bench -- --list                names of the rows
//! SELVEDGE_BENCH=full cargo bench      every shape on every instruction set
//! SELVEDGE_ISA=portable cargo bench    another instruction set than the best one
//! ```
//!
//! Progress goes to standard error, the table to standard output as Markdown. `target/selvedge-bench/` receives the
//! same rows as `NAME.csv`, in the schema of `benches/record/`, and a chart of the last column as `NAME.svg`.
//!
//! # Reading the table
//!
//! - **time**: median of `n` calls and their median absolute deviation, warm caches, one thread unless `threads` says
//!   otherwise. Calls on a GPU include the copies of their arguments and results.
//! - **throughput**: in units of the op, `GMAC/s` being 10^9 multiply-adds (query token x passage token x dimension)
//!   per second.
//! - **of the limit**: part of the fastest loop that was measured for the bounding resource, in the first rows of the
//!   table: int8 products or f32 multiply-adds that stay in registers, whichever instruction set is fastest, or bytes
//!   copied from memory to memory, times the number of threads. Work that caches serve can exceed the limit of memory.
//!
//! Results are not checked here but in tests: `tests/backend` compares every op on every backend with the reference,
//! `crates/backend/src/cpu/tests.rs` the layers of the encoder, and `crates/encoder/tests/candle.rs` the encoder.

pub mod backends;
pub mod chart;
pub mod data;
pub mod ink;
pub mod limits;
mod machine;
pub mod options;
pub mod report;
pub mod sampler;

use backends::Timed;
use clap::Parser;
use limits::{Peak, of_one_core};
use options::{Error, Options};
use report::{Row, Subject, Units, Work};
use selvedge_backend::{Backend, Cpu};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Name of this benchmark.
const NAME: &str = env!("CARGO_CRATE_NAME");
/// Time that the rows of a default run share, and the most that one row takes of it.
const BUDGET: Duration = Duration::from_secs(150);
const ROW_BUDGET: Duration = Duration::from_secs(2);
/// Time of a row when everything is measured.
const FULL_ROW_BUDGET: Duration = Duration::from_secs(3);

/// The rows of one op: asks the harness for each in turn and times those that it selects.
pub type Op = fn(&mut Bench<'_>);

/// A run over the ops: first to list the rows, then to time them.
pub struct Bench<'a> {
    options: &'a Options,
    cpus: Vec<Cpu>,
    full: bool,
    /// Time of a row; `None` while rows are listed.
    budget: Option<Duration>,
    /// Names of all rows of the ops, and number of those selected.
    names: Vec<String>,
    selected: usize,
    rows: Vec<Row>,
}

/// A selected row, to be timed.
pub struct Selected<'a> {
    subject: Subject,
    budget: Duration,
    rows: &'a mut Vec<Row>,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self, Error> {
        let full = options::is_full(std::env::var_os(options::MODE))?;
        let cpus = if full { backends::all_cpus() } else { vec![Cpu::new()?] };
        Ok(Self { options, cpus, full, budget: None, names: Vec::new(), selected: 0, rows: Vec::new() })
    }

    /// The instruction sets to measure.
    pub fn cpus(&self) -> Vec<Cpu> {
        self.cpus.clone()
    }

    /// Shapes to measure: `default`, and also `more` if everything is measured.
    pub fn shapes<T: Clone>(&self, default: &[T], more: &[T]) -> Vec<T> {
        if self.full { [default, more].concat() } else { default.to_vec() }
    }

    /// The row of an op on one thread. `None` if it is not selected; the caller then makes no data for it.
    pub fn row(&mut self, op: &str, backend: &impl Backend, shape: String) -> Option<Selected<'_>> {
        self.row_of(Subject { op: op.to_owned(), engine: "selvedge", backend: backend.name(), threads: 1, shape })
    }

    /// The row of a subject. `None` if it is not selected.
    pub fn row_of(&mut self, subject: Subject) -> Option<Selected<'_>> {
        let name = subject.name();
        let selected = self.options.select(&name);
        let Some(budget) = self.budget else {
            self.selected += usize::from(selected);
            self.names.push(name);
            return None;
        };
        if !selected {
            return None;
        }
        eprint!("[{:>3}/{}] {name}: ", self.rows.len() + 1, self.selected);
        Some(Selected { subject, budget, rows: &mut self.rows })
    }

    /// Runs the ops over the selected rows.
    fn measure(&mut self, ops: &[Op]) {
        let share = BUDGET / (self.selected.max(1) as u32);
        self.budget = Some(if self.full { FULL_ROW_BUDGET } else { share.min(ROW_BUDGET) });
        ops.iter().for_each(|op| op(self));
    }
}

impl Selected<'_> {
    /// Times `call` until its result is complete. `units` is the output of a call, for the throughput; `work` is
    /// the amount of the resource that bounds it.
    pub fn time<O>(self, backend: &impl Timed, units: Units, work: Work, mut call: impl FnMut() -> O) {
        let sample = sampler::sample(self.budget, || {
            let out = call();
            backend.wait();
            out
        });
        let row = Row::new(self.subject, sample, units, work, backend.peaks());
        eprintln!("{}", row.summary());
        self.rows.push(row);
    }
}

/// Entry point of a benchmark: measures the limits and the rows of `ops`.
pub fn main(ops: &[Op]) -> ExitCode {
    // `cargo test --benches` runs benchmarks without --bench.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("{NAME}: run by `cargo bench --bench {NAME}`");
        return ExitCode::SUCCESS;
    }
    match run(ops, &Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(ops: &[Op], options: &Options) -> Result<(), Error> {
    let started = Instant::now();
    let mut bench = Bench::new(options)?;
    // One thread, so that figures are comparable with the limits of one core.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(|| ops.iter().for_each(|op| op(&mut bench)));
    if options.list {
        bench.names.iter().filter(|name| options.select(name)).for_each(|name| println!("{name}"));
        return Ok(());
    }
    if bench.selected == 0 && !ops.is_empty() {
        return Err(Error::NoRow { names: options.names.clone(), rows: bench.names });
    }
    let mut rows = limits();
    pool.install(|| bench.measure(ops));
    rows.append(&mut bench.rows);
    report(&rows)?;
    eprintln!("{:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Measures the limits of the devices.
fn limits() -> Vec<Row> {
    let of_device = |peaks: &[Peak], backend: &str, shape: &str| -> Vec<Row> {
        peaks.iter().map(|peak| Row::of_peak(peak, backend, shape, peaks)).collect()
    };
    eprintln!("measuring the limits of the machine");
    let mut rows = of_device(of_one_core(), "cpu", "one core");
    if let Some(cuda) = backends::gpu() {
        rows.extend(of_device(cuda.peaks(), &cuda.name(), "one GPU"));
    }
    rows
}

/// Prints the table, and writes it as CSV and SVG.
fn report(rows: &[Row]) -> Result<(), Error> {
    let (machine, commit) = (machine::machine(), machine::commit());
    println!("{machine}; {}; commit {commit}\n\n{}", machine::rustc(), report::markdown(rows));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("selvedge-bench");
    let write = |extension: &str, text: String| -> Result<PathBuf, Error> {
        let path = folder.join(NAME).with_extension(extension);
        std::fs::write(&path, text).map_err(|source| Error::Io { path: path.clone(), source })?;
        Ok(path)
    };
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    let csv = write("csv", report::csv(rows, &machine, &commit))?;
    let svg = write("svg", chart::svg(rows, &machine))?;
    eprintln!("{}\n{}", csv.display(), svg.display());
    Ok(())
}
