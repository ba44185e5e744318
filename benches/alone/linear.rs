//! The rows of `benches/linear.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../linear.rs"]
mod linear;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[linear::run])
}
