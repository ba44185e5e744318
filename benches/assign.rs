//! Nearest centroid of each embedding: multiply-adds per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{DIM, embeddings};
use crate::support::report::Work;
use selvedge_backend::{Backend, round_to_int8};

pub fn run(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        for (num, log_k) in bench.shapes(&[(4096, 12), (1024, 16)], &[(2048, 14)]) {
            let (n, k) = (backend.size(num, 32 * num), 1 << log_k);
            let Some(row) = bench.row("assign", backend, format!("N={n} K=2^{log_k} D={DIM}")) else { continue };
            let reals = embeddings(k, 1000, 2);
            let mut centroids = vec![0; reals.len()];
            round_to_int8(&reals, &mut centroids);
            let resident = backend.load_centroids(DIM, &centroids).expect("enough memory");
            let rows = embeddings(n, 1000, 1);
            let work = Work::int8(n * k * DIM);
            row.time(backend, work.units(), work, || backend.assign(&resident, &rows).expect("it does not fail"));
        }
    });
}
