//! The rows of `benches/probe.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../probe.rs"]
mod probe;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[probe::run])
}
