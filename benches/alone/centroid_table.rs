//! The rows of `benches/centroid_table.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../centroid_table.rs"]
mod centroid_table;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[centroid_table::run])
}
