//! The rows of `benches/encode/` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../encode/mod.rs"]
mod encode;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[encode::run])
}
