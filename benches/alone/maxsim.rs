//! The rows of `benches/maxsim.rs` alone.

#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../maxsim.rs"]
mod maxsim;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main(&[maxsim::run])
}
