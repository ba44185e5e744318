//! The `selvedge` command line: text in, ranked passages out.
//!
//! [`run`] takes parsed arguments; each command is one function. The two trips are `index` (collection
//! to index) and `search` (queries to passages).
#![forbid(unsafe_code)]

pub mod args;
mod budget;
pub mod build;
pub mod collection;
pub mod device;
mod devices;
mod error;
pub mod eval;
mod index;
mod lines;
pub mod metrics;
mod mine;
pub mod npy;
mod output;
mod progress;
pub mod queries;
pub mod save;
pub mod source;
mod train;
pub mod truth;
mod tune;

pub use error::{Error, Result};

use args::{Cli, Command, EvalArgs, FunnelArgs, InfoArgs, SearchArgs, VerifyArgs};
use device::on_device;
use selvedge_backend::Backend;
use selvedge_index::{Check, Index};
use selvedge_search::{Mode, Params, Searcher};
use std::io::Write;
use std::path::Path;

/// An index below this size has every checksum checked before it is searched; it takes well under a second.
const CHECKED_BYTES: u64 = 1 << 30;

/// Does what the command line asks for.
pub fn run(cli: &Cli) -> Result<()> {
    let threads = match &cli.command {
        Command::Index(a) => a.encode.threads,
        Command::Search(a) => a.encode.threads,
        Command::Eval(a) => a.encode.threads,
        Command::Tune(a) => a.encode.threads,
        Command::Train(a) => a.encode.threads,
        Command::Mine(a) => a.encode.threads,
        Command::Verify(a) => a.threads,
        Command::Info(_) | Command::Devices(_) => Some(1), // they compute nothing
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|e| Error::Usage(format!("cannot start {threads:?} threads: {e}")))?;
    pool.install(|| match &cli.command {
        Command::Index(args) => index::index(args),
        Command::Search(args) => search(args),
        Command::Eval(args) => evaluate(args),
        Command::Tune(args) => tune::tune(args),
        Command::Train(args) => train::train(args),
        Command::Mine(args) => mine::mine(args),
        Command::Info(args) => info(args),
        Command::Verify(args) => verify(args),
        Command::Devices(args) => devices::devices(args),
    })
}

/// `selvedge search`: queries to passages.
fn search(args: &SearchArgs) -> Result<()> {
    let index = open(&args.index)?;
    let queries = queries::load(&args.source, &args.texts, &index, &args.encode)?;
    let outcomes = on_device!(args.encode.device, backend => {
        let searcher = Searcher::new(backend, &index)?;
        searcher.search_batch(&queries.embeddings, &params(&searcher, args.k, &args.funnel), None)
    })?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, (id, outcome)) in queries.ids.iter().zip(&outcomes).enumerate() {
        if args.json {
            output::search_json(&mut out, &index, id, outcome)?;
        } else {
            let name = queries.texts.as_ref().map_or(id, |texts| &texts[number]);
            output::search_text(&mut out, &index, name, outcome, outcomes.len() > 1)?;
        }
    }
    output::print(out.flush())
}

/// Opens an index, with every checksum checked where that is quick.
fn open(path: &Path) -> Result<Index> {
    let index = Index::open(path, Check::Lengths)?;
    let bytes: u64 = index.bytes_on_disk().values().sum();
    if bytes > CHECKED_BYTES { Ok(index) } else { Ok(Index::open(path, Check::Bytes)?) }
}

/// What the flags say; where they are silent, what was tuned or the defaults.
fn params<B: Backend>(searcher: &Searcher<B>, k: usize, funnel: &FunnelArgs) -> Params {
    let mut params = if funnel.exact { Params::exact(k) } else { searcher.params(k) };
    if let Mode::Funnel { nprobe, ndocs, nfull } = &mut params.mode {
        *nprobe = funnel.nprobe.unwrap_or(*nprobe);
        *ndocs = funnel.ndocs.unwrap_or(*ndocs);
        *nfull = funnel.nfull.unwrap_or(*nfull);
    }
    params
}

/// `selvedge eval`.
fn evaluate(args: &EvalArgs) -> Result<()> {
    let index = open(&args.index)?;
    let report = on_device!(args.encode.device, backend => eval::eval(args, &index, &Searcher::new(backend, &index)?))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::to_string(&report).expect("a report is plain numbers");
        return output::print(writeln!(out, "{line}"));
    }
    output::eval_text(&mut out, &report)
}

/// `selvedge info`.
fn info(args: &InfoArgs) -> Result<()> {
    let index = Index::open(&args.index, Check::Lengths)?;
    let info = output::info_json(&index);
    let mut out = std::io::stdout().lock();
    if args.json { output::print(writeln!(out, "{info}")) } else { output::info_text(&mut out, &info) }
}

/// `selvedge verify`.
fn verify(args: &VerifyArgs) -> Result<()> {
    let report = selvedge_index::verify(&args.index)?;
    let mut out = std::io::stdout().lock();
    for file in &report.files {
        let state = file.status.as_ref().err().map_or("ok".to_owned(), |e| format!("BROKEN: {e}"));
        output::print(writeln!(out, "{:<24} {:>14} bytes  {state}", file.file.name(), file.bytes))?;
    }
    let broken = report.broken().count();
    if broken == 0 {
        Ok(())
    } else {
        Err(Error::Broken { path: args.index.clone(), broken, files: report.files.len() })
    }
}
