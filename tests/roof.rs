//! `benches/roof` on the emulated GPU, or on a real one: each of its measurements runs at a small size.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::missing_errors_doc)]

#[path = "emulator/opened.rs"]
mod opened;
#[path = "../benches/roof/main.rs"]
mod roof;

use clap::Parser;
use selvedge_backend::cuda::CudaOptions;

#[test]
fn every_measurement_runs_and_the_gpu_finds_what_the_cpu_finds() {
    let Some(cuda) = opened::open(CudaOptions::default()) else { return };
    let sizes = "--passages 60 --tokens 5 --centroids 64 --query-tokens 3";
    for words in [
        "micro --tiny".to_owned(),
        format!("scan {sizes} --batches 1,5 --k 4 --rounds 1"),
        format!("equal {sizes} --queries 5 --k 9"),
        format!("query {sizes} --k 5 --candidates 9 --rounds 1"),
        "build --rows 40 --centroids 64 --rounds 1 --peak-rounds 1".to_owned(),
    ] {
        let options = roof::Options::parse_from(std::iter::once("roof").chain(words.split(' ')));
        roof::measure(&cuda, &options).unwrap_or_else(|error| panic!("{words}: {error}"));
    }
}
