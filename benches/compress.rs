//! Residuals to bytes (`compress`), and embeddings to codes and bytes (`assign_compress`: rotation, assignment and
//! compression in one pass, as a build does it): embeddings per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{DIM, codec, embeddings};
use crate::support::report::{Units, Work};
use selvedge_backend::Backend;

pub fn run(bench: &mut Bench<'_>) {
    compress(bench);
    assign_compress(bench);
}

fn compress(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        for nbits in bench.shapes(&[2, 4], &[1]) {
            let n = backend.size(8192, 1 << 16);
            let Some(row) = bench.row("compress", backend, format!("N={n} D={DIM} nbits={nbits}")) else { continue };
            let (codec, rows) = (codec(nbits, 1024), embeddings(n, 1000, 1));
            let resident = backend.load_codec(codec.params.clone()).expect("enough memory");
            let centroids = backend.load_centroids(DIM, &codec.params.centroids).expect("enough memory");
            let codes = backend.assign(&centroids, &rows).expect("it does not fail");
            let (units, read) = (Units { amount: n, unit: "embeddings" }, Work::memory(size_of_val(&rows[..])));
            row.time(backend, units, read, || {
                backend.compress(&resident, &rows, &codes).expect("it does not fail")
            });
        }
    });
}

/// Times rotation, assignment and compression in one. The time includes a copy of the embeddings, which the rotation
/// overwrites.
fn assign_compress(bench: &mut Bench<'_>) {
    let k = 4096;
    each_backend!(bench, backend => {
        for nbits in bench.shapes(&[2], &[1, 4]) {
            let n = backend.size(8192, 1 << 16);
            let shape = format!("N={n} K=2^12 D={DIM} nbits={nbits}");
            let Some(row) = bench.row("assign_compress", backend, shape) else { continue };
            let codec = codec(nbits, k);
            let compressor = codec.compressor(backend).expect("enough memory");
            let rows = embeddings(n, 1000, 1);
            let mut rotated = rows.clone();
            row.time(backend, Units { amount: n, unit: "embeddings" }, Work::int8(n * k * DIM), || {
                rotated.copy_from_slice(&rows);
                compressor.compress(backend, &mut rotated).expect("it does not fail")
            });
        }
    });
}
