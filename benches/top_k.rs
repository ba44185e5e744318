//! The best of many scores: scores per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{codec, coded_passages, query, wide};
use crate::support::report::{Units, Work};
use selvedge_backend::{Backend, Select};

pub fn run(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        for k in [10, 1000] {
            let num = backend.size(1 << 16, 1 << 20);
            let Some(row) = bench.row("top_k", backend, format!("k={k} P={num}")) else { continue };
            // Two tokens per passage are enough for distinct scores.
            let wide = wide(&codec(0, 1024).params, 1024);
            let resident = backend.load_codec(wide.clone()).expect("valid");
            let loaded = backend.load_passages(&resident, coded_passages(&wide, num, 2)).expect("valid");
            let query = query(backend, &resident, 32);
            let table = backend.centroid_table(&resident, &query).expect("it does not fail");
            let scores = backend.approx_scores(&loaded, &table, Select::All).expect("it does not fail");
            let (units, read) = (Units { amount: num, unit: "scores" }, Work::memory(num * size_of::<i32>()));
            row.time(backend, units, read, || backend.top_k(&scores, k).expect("it does not fail"));
        }
    });
}
