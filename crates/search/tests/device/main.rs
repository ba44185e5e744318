//! Searches that a GPU answers by itself, on the emulated driver of `tests/emulator/`: they find what the CPU finds,
//! with few calls of the driver, beside other users of the device.
//!
//! Each test runs in a process of its own, because the driver is loaded once per process and configured by the
//! environment; those about the order of streams run with seed 0, under which nothing is done before a wait needs it,
//! and with another seed.
#![cfg(feature = "cuda")]
#![allow(unreachable_pub)] // nothing imports a test crate

#[path = "../../../../tests/emulator/compiler.rs"]
mod compiler;
mod memory;
mod searches;
#[path = "../support/mod.rs"]
mod support;

use selvedge_backend::{Cpu, Cuda};
use selvedge_index::{Check, Index, Writer};
use selvedge_search::{Hit, Mode, Ranking, SearchParams, Searcher};
use std::collections::BTreeMap;
use std::process::Command;
use support::{DIM, index, rows};

/// The tests, and the environment of each.
const PROCESSES: [(&str, &[(&str, &str)]); 19] = [
    ("memory::the_callers_context_is_kept", &[("EMULATED_DEVICES", "2")]),
    ("memory::freed_memory_is_found", &[("EMULATED_MEMORY", "1048576")]),
    ("memory::hits_stay_on_the_device", &[("EMULATED_SEED", "0")]),
    ("memory::hits_stay_on_the_device", &[("EMULATED_SEED", "9")]),
    ("memory::memory_outlives_the_work_that_reads_it", &[("EMULATED_SEED", "0")]),
    ("memory::memory_outlives_the_work_that_reads_it", &[("EMULATED_SEED", "9")]),
    ("searches::several_devices_find_what_the_cpu_finds", &[("EMULATED_DEVICES", "2")]),
    ("memory::a_queue_answers_queries_of_the_device", &[("EMULATED_SEED", "0")]),
    ("memory::a_queue_answers_queries_of_the_device", &[("EMULATED_SEED", "9")]),
    ("searches::gains_of_long_queries_are_shifted", &[]),
    ("searches::searches_find_what_the_cpu_finds", &[("EMULATED_SEED", "0")]),
    ("searches::searches_find_what_the_cpu_finds", &[("EMULATED_SEED", "9")]),
    ("searches::a_search_is_few_calls", &[("EMULATED_LOG", "log")]),
    ("searches::a_search_is_few_calls", &[("EMULATED_LOG", "log"), ("EMULATED_POOLS", "0")]),
    ("memory::threads_have_streams_of_their_own", &[("EMULATED_SEED", "0")]),
    ("memory::threads_have_streams_of_their_own", &[("EMULATED_SEED", "9")]),
    ("memory::the_callers_context_stays_as_it_was", &[]),
    ("searches::an_index_beyond_the_budget_is_not_uploaded", &[("EMULATED_LOG", "log")]),
    ("memory::embeddings_of_the_device_are_checked_there", &[]),
];

#[test]
fn in_processes() {
    let folder = tempfile::tempdir().unwrap();
    let Some((driver, nvrtc)) = compiler::emulator(folder.path()) else { return };
    for (name, environment) in PROCESSES {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored"])
            .current_dir(folder.path())
            .env("SELVEDGE_CUDA_DRIVER", &driver)
            .env("SELVEDGE_NVRTC", &nvrtc)
            .env("SELVEDGE_CUBINS", folder.path().join("cubins"))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        let passed = out.status.success() && stdout.contains("1 passed");
        assert!(passed, "{name} with {environment:?}:\n{stdout}{stderr}");
    }
}

/// Adds passages as a segment of their own.
fn add(index: &Index, doclens: &[u32]) -> Index {
    let mut writer = Writer::open(index.path()).unwrap();
    let cpu = Cpu::new().unwrap();
    let mut embeddings = rows(doclens.iter().sum::<u32>() as usize);
    let (codes, packed) = index.codec().unwrap().compressor(&cpu).unwrap().compress(&cpu, &mut embeddings).unwrap();
    writer.push_passages(doclens, &codes, &packed).unwrap();
    writer.commit().unwrap();
    index.refreshed(Check::Checksums).unwrap().unwrap()
}

/// An index of several segments, some of whose passages are deleted. Equal passages are in different segments, so that
/// scores tie.
fn several_segments() -> (tempfile::TempDir, Index) {
    let (dir, index) = index(&vec![3; 150], 64);
    let index = add(&add(&add(&index, &[2; 40]), &[1, 0, 5]), &[4; 9]);
    let mut writer = Writer::open(index.path()).unwrap();
    for id in [0, 7, 149, 151, 192] {
        assert!(writer.delete(&id.to_string()).unwrap());
    }
    writer.commit().unwrap();
    let index = index.refreshed(Check::Checksums).unwrap().unwrap();
    assert!(index.segments().len() > 1, "{}", index.segments().len());
    (dir, index)
}

fn searchers(index: &Index) -> (Searcher<Cuda>, Searcher<Cpu>) {
    (Searcher::new(Cuda::new(0).unwrap(), index).unwrap(), Searcher::new(Cpu::new().unwrap(), index).unwrap())
}

fn funnel(k: usize, nprobe: usize, ndocs: usize, num_rescored: usize) -> SearchParams {
    SearchParams { k, mode: Mode::Approximate { nprobe, ndocs, num_rescored } }
}

/// Hits and number of scored passages.
fn found(rankings: &[Ranking]) -> Vec<(&[Hit], usize)> {
    rankings.iter().map(|ranking| (&ranking.hits[..], ranking.num_scored)).collect()
}

/// `num` queries of 0 to 11 tokens.
fn queries(num: usize) -> Vec<Vec<f32>> {
    let all = rows(num + 12);
    (0..num).map(|q| all[q * DIM..][..q % 12 * DIM].to_vec()).collect()
}

/// Lines of the emulator's log, with the number of each.
fn log() -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for line in std::fs::read_to_string("log").unwrap_or_default().lines() {
        let what = line.split(' ').next().unwrap().to_owned();
        *lines.entry(what).or_default() += 1;
    }
    lines
}
