//! The centroid table of one query: multiply-adds per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::data::{DIM, codec, query, wide};
use crate::support::report::Work;
use selvedge_backend::Backend;

pub fn run(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        let more = [(32, 12), (12, 14), (12, 16), (12, 18)];
        for (query_len, log_k) in bench.shapes(&[(32, 10), (32, 14), (32, 16)], &more) {
            let shape = format!("Q={query_len} K=2^{log_k} D={DIM}");
            let Some(row) = bench.row("centroid_table", backend, shape) else { continue };
            let k = 1 << log_k;
            let resident = backend.load_codec(wide(&codec(2, 1024).params, k)).expect("valid");
            let query = query(backend, &resident, query_len);
            let work = Work::int8(query_len * k * DIM);
            row.time(backend, work.units(), work, || {
                backend.centroid_table(&resident, &query).expect("it does not fail")
            });
        }
    });
}
