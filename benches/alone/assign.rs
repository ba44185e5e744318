//! The rows of `benches/assign.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../assign.rs"]
mod assign;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[assign::run])
}
