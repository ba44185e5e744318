//! The `selvedge` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(selvedge_cli::run(std::env::args_os()))
}
