//! The rows of `benches/centroid_sums.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../centroid_sums.rs"]
mod centroid_sums;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[centroid_sums::run])
}
