//! The `selvedge` program: parses arguments; exit code 0, 1 (bad input or failure) or 2 (usage).
//!
//! Each command is one function of its own file; all that computes is in the library.
#![forbid(unsafe_code)]

mod args;
mod devices;
mod encode;
mod error;
mod index;
mod inspect;
mod log;
mod mine;
mod output;
mod progress;
mod search;
mod shell;
mod signals;
mod train;
mod tune;

use args::{Cli, Command};
use clap::Parser;
use error::{Error, Result};
use log::note;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start(cli.verbose, cli.quiet);
    if cli.command.has_to_clean_up() {
        signals::listen();
    }
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What the command had begun is removed by now.
            signals::end_as_asked();
            let flags = error.flags().map(|flags| format!(" ({flags})")).unwrap_or_default();
            note!("selvedge: {error}{flags}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Does what the command line asks for, on a pool of as many threads as it asks for.
fn run(cli: &Cli) -> Result<()> {
    let threads = cli.command.threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|e| Error::Usage(format!("cannot start {threads:?} threads: {e}")))?;
    pool.install(|| match &cli.command {
        Command::Index(args) => index::index(args),
        Command::Encode(args) => encode::encode(args),
        Command::Search(args) => search::search(args),
        Command::Eval(args) => search::eval(args),
        Command::Tune(args) => tune::tune(args),
        Command::Train(args) => train::train(args),
        Command::Mine(args) => mine::mine(args),
        Command::Info(args) => inspect::info(args),
        Command::Verify(args) => inspect::verify(args),
        Command::Devices(args) => devices::devices(args),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
    })
}
