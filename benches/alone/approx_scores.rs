//! The rows of `benches/approx_scores.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../approx_scores.rs"]
mod approx_scores;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[approx_scores::run])
}
