//! The `selvedge` program as a function, which the program and the Python package call.
//!
//! Each command is one function in its own file: it turns arguments into options of the library, calls the library, and
//! prints the result.
#![forbid(unsafe_code)]

mod args;
mod change;
mod devices;
mod encode;
mod error;
mod explain;
mod export;
mod import;
mod index;
mod inspect;
mod log;
mod mcp;
mod metadata;
mod mine;
#[cfg(feature = "otel")]
mod otel;
mod output;
mod plan;
mod points;
mod progress;
mod router;
mod search;
mod serve;
mod shell;
mod signals;
mod train;
mod tune;

use args::{Cli, Command};
use clap::Parser;
use error::{Error, Result};
use std::ffi::OsString;

/// Runs the program with its arguments, the first of which is its name, and returns its exit code: 0, 1 (bad input or
/// failure) or 2 (wrong usage).
///
/// It writes to standard output and standard error, handles signals, and sets the process's log: to be called once.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(help) => {
            let _ = help.print();
            return help.exit_code() as u8;
        }
    };
    // Requests are noted where they are a server's.
    let (is_server, is_json) = match &cli.command {
        Command::Serve(args) => (true, args.log_json),
        Command::Router(args) => (true, args.log_json),
        Command::Mcp(args) => (args.settings.listen.is_some(), args.log_json),
        _ => (false, false),
    };
    log::start(cli.verbose.max(u8::from(is_server && !cli.quiet)), cli.quiet, is_json);
    if cli.command.has_to_clean_up() {
        signals::listen();
    }
    let result = run_command(&cli);
    #[cfg(feature = "otel")]
    otel::end();
    match result {
        // A reader that closes the pipe early, such as `head`, has all the lines that it needs.
        Ok(()) | Err(Error::ClosedPipe) => 0,
        Err(error) => {
            // The command has removed its unfinished files by now.
            signals::end_by_signal();
            let flags = error.flags().map(|flags| format!(" ({flags})")).unwrap_or_default();
            log::write_error(format_args!("selvedge: {error}{flags}"));
            error.exit_code()
        }
    }
}

/// Runs the command on a pool of the requested number of threads.
fn run_command(cli: &Cli) -> Result<()> {
    let threads = cli.command.threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|e| Error::Usage(format!("cannot start {threads:?} threads: {e}")))?;
    pool.install(|| match &cli.command {
        Command::Index(args) => index::index(args),
        Command::Import(args) => import::import(args),
        Command::Export(args) => export::export(args),
        Command::Add(args) => change::add(args, false),
        Command::Update(args) => change::add(args, true),
        Command::Delete(args) => change::delete(args),
        Command::Compact(args) => change::compact(args),
        Command::Upgrade(args) => change::upgrade(args),
        Command::Encode(args) => encode::encode(args),
        Command::Search(args) => search::search(args),
        Command::Eval(args) => search::eval(args),
        Command::Tune(args) => tune::tune(args),
        Command::Serve(args) => serve::serve(args),
        Command::Router(args) => router::router(args),
        Command::Mcp(args) => mcp::mcp(args),
        Command::Train(args) => train::train(args),
        Command::Mine(args) => mine::mine(args),
        Command::Plan(args) => plan::plan(args),
        Command::Info(args) => inspect::info(args),
        Command::Verify(args) => inspect::verify(args),
        Command::Devices(args) => devices::devices(args),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
    })
}
