//! The rows of `benches/compress.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../compress.rs"]
mod compress;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[compress::run])
}
