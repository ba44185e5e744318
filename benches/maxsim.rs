//! Fused decompress + MaxSim from the compressed bytes (`maxsim`), beside MaxSim over plain vectors (`maxsim_f32`):
//! multiply-adds (query token x passage token x dimension) per second.

use crate::each_backend;
use crate::support::Bench;
use crate::support::backends::Timed;
use crate::support::data::{DIM, codec, embeddings, passages, query, wide};
use crate::support::report::Work;
use selvedge_backend::{Backend, CodecParams, Pid, Select};
use selvedge_codec::{Codec, levels::lloyd_max};

const QUERY_LEN: usize = 32;
const LEN: usize = 84;

/// Passages of a segment that are scored.
#[derive(Clone, Copy)]
enum Scored {
    /// A few, spread over a large segment, as the candidates of a search are.
    Picked,
    /// All of a small segment, as in an exhaustive search.
    All,
}

/// Codings of the residuals at a number of bits.
#[derive(Clone, Copy)]
enum Coding {
    /// The default coding of the codec.
    Default,
    /// Lloyd-Max buckets instead of a trellis.
    Buckets,
}

pub fn run(bench: &mut Bench<'_>) {
    use {Coding::*, Scored::*};
    let searches = [(2, 10), (2, 14), (2, 16), (1, 14), (4, 14)].map(|(nbits, log_k)| (nbits, log_k, Default, Picked));
    let all = [(0, Default), (1, Default), (1, Buckets), (2, Buckets), (4, Default), (8, Default)];
    let all = all.map(|(nbits, coding)| (nbits, 10, coding, All));
    let all = [&all[..], &[(2, 18, Default, Picked)]].concat();
    for (nbits, log_k, coding, scored) in bench.shapes(&[&searches[..], &[(2, 10, Default, All)]].concat(), &all) {
        maxsim(bench, nbits, log_k, coding, scored);
    }
    maxsim_f32(bench);
}

fn maxsim(bench: &mut Bench<'_>, nbits: u8, log_k: u32, coding: Coding, scored: Scored) {
    each_backend!(bench, backend => {
        let num_scored = backend.size(256, 1 << 15);
        let (num, of) = match scored {
            Scored::Picked => (backend.size(1 << 14, 1 << 17), "picked"),
            Scored::All => (num_scored, "all"),
        };
        let buckets = if let Coding::Buckets = coding { " buckets" } else { "" };
        let shape = format!("Q={QUERY_LEN} L={LEN} K=2^{log_k} nbits={nbits}{buckets} P={num_scored} {of}");
        let Some(row) = bench.row("maxsim", backend, shape) else { continue };
        let mut codec = codec(nbits, 1024);
        if let Coding::Buckets = coding {
            without_trellis(&mut codec);
        }
        let wide = wide(&codec.params, 1 << log_k);
        let resident = backend.load_codec(wide.clone()).expect("valid");
        let loaded = backend.load_passages(&resident, passages(&codec, &wide, num, LEN)).expect("valid");
        let query = query(backend, &resident, QUERY_LEN);
        let table = backend.centroid_table(&resident, &query).expect("it does not fail");
        // Distinct, because the factor is odd and `num` a power of two; out of order, as passages are by their scores.
        let pids: Vec<Pid> = (0..num_scored).map(|at| (at * 10_007 % num) as Pid).collect();
        let select = if let Scored::All = scored { Select::All } else { Select::Pids(&pids) };
        let work = Work::int8(QUERY_LEN * num_scored * LEN * DIM);
        row.time(backend, work.units(), work, || {
            backend.maxsim(&loaded, &query, &table, select).expect("it does not fail")
        });
    });
}

/// Replaces a trellis with Lloyd-Max buckets, to see the cost of its windows.
fn without_trellis(codec: &mut Codec) {
    let levels = lloyd_max(codec.params.nbits);
    let params = CodecParams::clone(&codec.params);
    let params = CodecParams { coding: levels.coding, levels: levels.levels, cutoffs: levels.cutoffs, ..params };
    *codec = Codec::new(codec.kind, codec.seed, params).expect("valid");
}

fn maxsim_f32(bench: &mut Bench<'_>) {
    each_backend!(bench, backend => {
        let num = backend.size(256, 4096);
        let shape = format!("Q={QUERY_LEN} L={LEN} P={num}");
        let Some(row) = bench.row("maxsim_f32", backend, shape) else { continue };
        let (query_rows, rows) = (embeddings(QUERY_LEN, 1000, 3), embeddings(num * LEN, 1000, 2));
        let offsets: Vec<usize> = (0..=num).map(|p| p * LEN).collect();
        let work = Work::f32(QUERY_LEN * num * LEN * DIM);
        row.time(backend, work.units(), work, || {
            backend.maxsim_f32(DIM, &query_rows, &[0, QUERY_LEN], &rows, &offsets).expect("it does not fail")
        });
    });
}
