//! Every op at the shapes of a search, in one table: what plain `cargo bench` runs. `support/mod.rs` says how to run
//! one op, and how to read the table.

#![allow(missing_docs, unreachable_pub, dead_code)] // a benchmark is no library

mod support;

mod approx_scores;
mod assign;
mod centroid_sums;
mod centroid_table;
mod compress;
mod decompress;
mod encode;
mod linear;
mod maxsim;
mod probe;
mod top_k;

/// The ops in the order of a search, then of a build, then the encoder.
fn main() -> std::process::ExitCode {
    support::main(&[
        centroid_table::run,
        probe::run,
        approx_scores::run,
        top_k::run,
        maxsim::run,
        assign::run,
        compress::run,
        decompress::run,
        centroid_sums::run,
        linear::run,
        encode::run,
    ])
}
