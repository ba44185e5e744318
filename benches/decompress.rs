//! Bytes back to vectors: bytes of vectors per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{DIM, codec, passages};
use crate::support::report::Work;
use selvedge_backend::Backend;

pub fn run(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        for nbits in bench.shapes(&[2, 4], &[1]) {
            let (num, len) = (backend.size(256, 4096), 84);
            let shape = format!("N={} D={DIM} nbits={nbits}", num * len);
            let Some(row) = bench.row("decompress", backend, shape) else { continue };
            let codec = codec(nbits, 1024);
            let resident = backend.load_codec(codec.params.clone()).expect("valid");
            let passages = passages(&codec, &codec.params, num, len);
            let loaded = backend.load_passages(&resident, passages).expect("valid");
            let work = Work::memory(num * len * DIM * size_of::<f32>());
            row.time(backend, work.units(), work, || {
                backend.decompress(&loaded, 0..num * len).expect("it does not fail")
            });
        }
    });
}
