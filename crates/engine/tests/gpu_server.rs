//! The example of a GPU server, on the emulated driver of `tests/emulator/`: it finds what a search on the CPU finds.
#![cfg(feature = "cuda")]
#![allow(unreachable_pub)] // nothing imports a test crate

#[path = "../../../tests/emulator/compiler.rs"]
mod compiler;
#[path = "../examples/04-gpu-server.rs"]
mod server;
#[allow(dead_code)] // other tests need the rest
mod support;

use selvedge::{Device, Engine, OpenOptions, SearchOptions};
use std::path::Path;
use std::process::Command;

/// Variable that names the index for the process of the server.
const INDEX: &str = "SELVEDGE_TEST_INDEX";

/// Queries of the server, some of them equal.
fn queries() -> Vec<String> {
    let [fraying, logs] = support::QUESTIONS;
    [fraying, logs, "mail", logs, fraying, "a loom"].map(String::from).to_vec()
}

#[test]
fn in_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let Some((driver, nvrtc)) = compiler::emulator(folder.path()) else { return };
    let index = folder.path().join("index");
    support::build(&index, &()).unwrap();
    for seed in ["0", "5"] {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_server_answers_as_the_cpu", "--ignored"])
            .env("SELVEDGE_CUDA_DRIVER", &driver)
            .env("SELVEDGE_NVRTC", &nvrtc)
            .env("SELVEDGE_CUBINS", folder.path().join("cubins"))
            .env("EMULATED_SEED", seed)
            .env(INDEX, &index)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert!(out.status.success() && stdout.contains("1 passed"), "seed {seed}:\n{stdout}{stderr}");
    }
}

#[test]
#[ignore = "in a process of its own"]
fn the_server_answers_as_the_cpu() {
    let index = std::env::var_os(INDEX).unwrap();
    let index = Path::new(&index);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let answers = runtime.block_on(server::serve(index, &queries())).unwrap();
    let engine = Engine::open(index, OpenOptions { device: Device::Cpu, ..OpenOptions::default() }).unwrap();
    let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
    let expected = engine.search_batch(&queries(), &options).unwrap();
    for ((answer, expected), query) in answers.iter().zip(&expected).zip(queries()) {
        assert_eq!(answer.hits, expected.hits, "{query}");
        assert!(!answer.hits.is_empty(), "{query}");
    }
}
