//! The rows of `benches/decompress.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../decompress.rs"]
mod decompress;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[decompress::run])
}
