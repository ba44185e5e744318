//! The best centroids of each query token: entries of the table per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::data::{codec, query, wide};
use crate::support::report::{Units, Work};
use selvedge_backend::Backend;

pub fn run(bench: &mut Bench<'_>) {
    let query_len = 32;
    each_backend!(bench, backend => {
        for (nprobe, log_k) in bench.shapes(&[(4, 14), (4, 16), (32, 16)], &[(4, 18)]) {
            let shape = format!("Q={query_len} K=2^{log_k} nprobe={nprobe}");
            let Some(row) = bench.row("probe", backend, shape) else { continue };
            let k = 1 << log_k;
            let resident = backend.load_codec(wide(&codec(2, 1024).params, k)).expect("valid");
            let query = query(backend, &resident, query_len);
            let table = backend.centroid_table(&resident, &query).expect("it does not fail");
            let entries = query_len * k;
            let (units, read) = (Units { amount: entries, unit: "entries" }, Work::memory(entries * size_of::<i32>()));
            row.time(backend, units, read, || backend.probe(&table, nprobe).expect("it does not fail"));
        }
    });
}
