//! Scores from the centroid table alone: tokens of passages per second. The bound is the time to read one row of the
//! table per token.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{codec, coded_passages, query, wide};
use crate::support::report::{Units, Work};
use selvedge_backend::{Backend, Select};

pub fn run(bench: &mut Bench<'_>) {
    let (query_len, len) = (32, 84);
    each_backend!(bench, backend => {
        for log_k in bench.shapes(&[10, 14, 16], &[12]) {
            let (k, num) = (1 << log_k, backend.size(4096, 1 << 16));
            let shape = format!("Q={query_len} L={len} K=2^{log_k} P={num}");
            let Some(row) = bench.row("approx_scores", backend, shape) else { continue };
            let wide = wide(&codec(0, 1024).params, k);
            let resident = backend.load_codec(wide.clone()).expect("valid");
            let loaded = backend.load_passages(&resident, coded_passages(&wide, num, len)).expect("valid");
            let query = query(backend, &resident, query_len);
            let table = backend.centroid_table(&resident, &query).expect("it does not fail");
            let read = Work::memory(num * len * query_len * size_of::<i32>());
            row.time(backend, Units { amount: num * len, unit: "tokens" }, read, || {
                backend.approx_scores(&loaded, &table, Select::All).expect("it does not fail")
            });
        }
    });
}
