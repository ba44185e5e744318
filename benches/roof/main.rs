//! Limits of a GPU, as lines of JSON: `cargo bench --bench roof -- micro`.

#![allow(missing_docs, unreachable_pub)]

mod micro;

use clap::{Parser, Subcommand};
use micro::Sizes;
use selvedge_backend::{Backend, Cuda};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// Passed by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Measures copies, gathered rows, products, instructions and latencies, each the median of 20
    Micro {
        /// Number of the device
        #[arg(long, default_value_t = 0)]
        device: usize,
        /// Measures tiny work, which shows only that everything runs
        #[arg(long)]
        tiny: bool,
    },
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Command::Micro { device, tiny } = Options::parse().command;
    let cuda = Cuda::new(device)?;
    eprintln!("{}", cuda.name());
    micro::run(&cuda, if tiny { Sizes::TINY } else { Sizes::FULL }, &mut std::io::stdout().lock())
}
