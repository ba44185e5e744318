//! The limits of the machine alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[])
}
