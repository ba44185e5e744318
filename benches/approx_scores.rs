//! Scores from the table alone: tokens of passages a second, one thread; held against the bytes of the table's
//! rows.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selvedge_backend::{Backend, Select};
use support::{Timed, Work, bench, codec, coded_passages, query, wide};

fn approx_scores(c: &mut Criterion) {
    let mut group = c.benchmark_group("approx_scores");
    group.sample_size(20);
    let (query_len, len, codec) = (32, 84, codec(0, 1024));
    each_backend!(backend => {
        for log_k in [12, 16] {
            let (k, num) = (backend.size(1 << log_k, 1 << log_k), backend.size(4096, 1 << 16));
            let wide = wide(&codec.params, k);
            let resident = backend.load_codec(wide.clone()).expect("valid");
            let loaded = backend.load_passages(&resident, coded_passages(&wide, num, len)).expect("valid");
            let query = query(backend, &resident, query_len);
            let table = backend.centroid_table(&resident, &query).expect("it does not fail");
            let what = format!("Q{query_len}xL{len}xK2^{}", k.ilog2());
            let rows = Work::Moved(num * len * query_len * size_of::<i32>());
            bench(&mut group, backend, what, Throughput::Elements((num * len) as u64), rows, || {
                backend.approx_scores(&loaded, &table, Select::All).expect("it does not fail")
            });
        }
    });
}

criterion_group!(benches, approx_scores);
criterion_main!(benches);
