//! Nearest centroid of each embedding: multiply-adds per second. On two levels as many are counted as without, so that
//! the rows compare.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{DIM, embeddings};
use crate::support::report::Work;
use selvedge_backend::{Backend, round_to_int8};

pub fn run(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        let shapes = [(4096, 12, false), (1024, 16, false)];
        for (num, log_k, grouped) in bench.shapes(&shapes, &[(2048, 14, false), (2048, 14, true), (2048, 16, true)]) {
            let (n, k) = (backend.size(num, 32 * num), 1 << log_k);
            let shape = format!("N={n} K=2^{log_k} D={DIM}{}", if grouped { " two levels" } else { "" });
            let Some(row) = bench.row("assign", backend, shape) else { continue };
            let reals = embeddings(k, 1000, 2);
            let mut centroids = vec![0; reals.len()];
            round_to_int8(&reals, &mut centroids);
            let resident = match grouped {
                false => backend.load_centroids(DIM, &centroids),
                true => backend.load_grouped_centroids(DIM, &centroids),
            };
            let resident = resident.expect("enough memory");
            let rows = embeddings(n, 1000, 1);
            let work = Work::int8(n * k * DIM);
            row.time(backend, work.units(), work, || backend.assign(&resident, &rows).expect("it does not fail"));
        }
    });
}
