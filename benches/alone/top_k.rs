//! The rows of `benches/top_k.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../top_k.rs"]
mod top_k;

fn main() -> std::process::ExitCode {
    support::main(&[top_k::run])
}
