//! Parses arguments; exit code 0, 1 (bad input or failure) or 2 (usage).

#![forbid(unsafe_code)]

use clap::Parser;
use selvedge::args::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    match selvedge::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("selvedge: {error}");
            ExitCode::from(if matches!(error, selvedge::Error::Usage(_)) { 2 } else { 1 })
        }
    }
}
