//! Sums of embeddings by code: bytes of embeddings per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{DIM, codes, embeddings};
use crate::support::report::Work;
use selvedge_backend::Backend;

pub fn run(bench: &mut Bench<'_>) {
    let k = 4096;
    each_backend!(bench, backend => {
        let n = backend.size(1 << 16, 1 << 18);
        let Some(row) = bench.row("centroid_sums", backend, format!("N={n} K=2^12 D={DIM}")) else { continue };
        let (rows, codes) = (embeddings(n, 1000, 1), codes(n, k));
        let work = Work::memory(size_of_val(&rows[..]));
        row.time(backend, work.units(), work, || {
            backend.centroid_sums(DIM, &rows, &codes, k).expect("it does not fail")
        });
    });
}
