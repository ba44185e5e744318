//! The GPU against its limits: exhaustive search of a whole compressed collection, in a few minutes on one device.
//!
//! ```text
//! cargo bench --bench roof -- micro
//! cargo bench --bench roof -- scan  --passages 8800000 --batches 1,2,4,8,16,32
//! cargo bench --bench roof -- equal --passages 200000
//! cargo bench --bench roof -- query --k 10,100,1000
//! cargo bench --bench roof -- build --rows 1000000
//! ```
//!
//! In: nothing; the collection is made up in the memory of the host, as `equal` needs it there, and uploaded
//! (`data.rs`). Out: one line of JSON per measurement, as
//! soon as it is made, so that a run that is cut short leaves what it has measured. Times are medians of whole calls on
//! the host's clock, with the copies of queries and hits and one wait; `equal` compares hits with the CPU's and fails
//! where one differs.
//!
//! Without criterion: a build of this program alone can be carried to a machine that has a GPU and no toolchain.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::missing_errors_doc)] // a benchmark exports nothing

mod build;
mod clock;
mod cubins;
mod data;
mod equal;
mod micro;
mod query;
mod scan;
#[path = "../support/mod.rs"]
mod support;

use clap::{Parser, Subcommand};
use selvedge_backend::Cuda;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser, Debug)]
#[command(about = "Measure a GPU at its limits: exhaustive search of everything, and builds")]
pub struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Number of the CUDA device
    #[arg(long, default_value_t = 0, global = true)]
    device: usize,
    /// Set by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Limits of the device: copies, gathered rows, products, integer instructions, launches, waits
    Micro(micro::Options),
    /// Search everything, for one query and in batches
    Scan(scan::Options),
    /// Compare hits of the GPU with the CPU's
    Equal(equal::Options),
    /// Whole queries: numbers of hits, and the scoring of candidates
    Query(query::Options),
    /// Assignment, compression and sums of embeddings
    Build(build::Options),
    /// Compile kernels for a machine that has a GPU; this one needs NVRTC alone
    Cubins(cubins::Options),
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.what.is_none() {
        // `cargo bench` without a name runs every benchmark; this one takes a GPU and minutes.
        println!("roof: run by `cargo bench --bench roof -- scan`; --help has more");
        return ExitCode::SUCCESS;
    }
    let done = match &options.what {
        Some(What::Cubins(options)) => cubins::run(options),
        _ => Cuda::new(options.device).map_err(Into::into).and_then(|cuda| measure(&cuda, &options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roof: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the measurements that the options name, and prints them.
pub fn measure(cuda: &Cuda, options: &Options) -> Result<()> {
    match &options.what {
        Some(What::Micro(options)) => micro::run(cuda, options, &mut std::io::stdout().lock()),
        Some(What::Scan(options)) => scan::run(cuda, options),
        Some(What::Equal(options)) => equal::run(cuda, options),
        Some(What::Query(options)) => query::run(cuda, options),
        Some(What::Build(options)) => build::run(cuda, options),
        Some(What::Cubins(options)) => cubins::run(options),
        None => Ok(()),
    }
}
