//! `--device cuda`: the same rankings as the CPU's, or an error that says why not; never the CPU in its place.
//!
//! The tests run on this machine's GPU, or without one on the emulated driver of `tests/emulator/`. Tests that inject
//! faults always use the emulated driver. Without a C++ compiler the tests that need it are left out, unless
//! `SELVEDGE_REQUIRE_CUDA=1`.
#![cfg(all(unix, feature = "cuda"))]
#![allow(missing_docs, unreachable_pub, dead_code)]

mod cubins;
mod gpu;
mod refusals;
#[path = "../support/mod.rs"]
mod support;

use gpu::Gpu;
use serde_json::Value;
use support::Collection;

/// Number of passages of the collections: few, because the emulated GPU is slow. For the same reason embeddings have
/// 40 dimensions: a trellis of up to 32 components tries every state, which takes longer.
const PASSAGES: usize = 60;

fn collection() -> Collection {
    Collection::of(40, PASSAGES, 6)
}

/// Parses the printed lines, without times and the name of the backend.
fn lines(printed: &str) -> Vec<Value> {
    let line = |line| {
        let mut object: Value = serde_json::from_str(line).unwrap();
        for name in ["latency_us", "stages_us", "output_us", "latency_ms", "queries_per_second", "backend"] {
            object.as_object_mut().unwrap().remove(name);
        }
        object
    };
    printed.lines().map(line).collect()
}

/// The device that searches changes neither ids nor scores nor the number of passages scored, on an index of either
/// device. The bytes of the two indexes may differ: where a sum of floats is at the edge between two levels or two
/// weights, the devices may choose differently, each of them always in the same way.
#[test]
fn an_index_of_either_gives_the_same_rankings_on_both() {
    let c = collection();
    let Some(gpu) = Gpu::here(&c) else { return };
    for (number, options) in ["--nbits 1", "--nbits 2", "--nbits 4", "--nbits 2 --codec colbertv2"].iter().enumerate() {
        for device in ["cpu", "cuda"] {
            let index = format!("{device}{number}");
            gpu.ok(&c, &gpu::index(&index, &format!("{options} --centroids 32 --device {device}")));
            let info = c.ok(&format!("info {index} --json"));
            let info: Value = serde_json::from_str(&info).unwrap();
            let backend = info["build"]["backend"].as_str().unwrap();
            assert_eq!(backend == "cuda/0", device == "cuda", "{index} was built by {backend}");

            for mode in ["--exact", "--nprobe 2 --ndocs 20 --nfull 10"] {
                let search = format!("search {index} --query-embeddings queries.npy --json -k 5 {mode} --device");
                let cpu = lines(&gpu.ok(&c, &format!("{search} cpu")));
                assert_eq!(lines(&gpu.ok(&c, &format!("{search} cuda"))), cpu, "{index}, {options} {mode}");
                for (query, line) in cpu.iter().enumerate() {
                    let exact = line["num_scored"] == PASSAGES;
                    assert_eq!(exact, mode == "--exact", "the funnel leaves some out");
                    let mut ids = line["results"].as_array().unwrap().iter().map(|result| &result["id"]);
                    let made_from = format!("passage-{}", 7 * query);
                    assert!(!exact || ids.any(|id| *id == made_from), "{index}, query {query}: {line}");
                }
            }
        }
    }
}

/// Without residuals every number of a build is an integer or has a fixed order of additions, so centroids, codes and
/// lists are the same bytes on both.
#[test]
fn an_index_without_residuals_has_the_same_bytes_on_both() {
    let c = collection();
    let Some(gpu) = Gpu::here(&c) else { return };
    let files = |index: &str| -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(c.path(index)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut files: Vec<_> = entries.map(|path| (name(&path), std::fs::read(&path).unwrap())).collect();
        files.sort();
        files
    };
    let [cpu, cuda] = ["cpu", "cuda"].map(|device| {
        gpu.ok(&c, &gpu::index(device, &format!("--nbits 0 --centroids 32 --device {device}")));
        files(device)
    });
    assert!(cpu.len() > 5 && cpu.len() == cuda.len());
    for ((name, cpu), (other, cuda)) in cpu.iter().zip(&cuda) {
        // The manifest names the backend and the time.
        assert!(name == other && (cpu == cuda || name.starts_with("manifest")), "{name} and {other} differ");
    }
}

#[test]
fn eval_and_tune_work_on_both() {
    let c = collection();
    let Some(gpu) = Gpu::here(&c) else { return };
    c.index("i", "--nbits 4 --centroids 32");
    let eval = "eval i --query-embeddings queries.npy --queries queries.tsv --qrels qrels.tsv --embeddings docs.npy \
         --doclens lens.npy --nprobe 2 --ndocs 20 --nfull 10 --json --device";
    let [cpu, cuda] = ["cpu", "cuda"].map(|device| gpu.ok(&c, &format!("{eval} {device}")));
    assert!(cuda.contains("\"backend\":\"cuda/0\"") && !cpu.contains("cuda"), "{cuda}{cpu}");
    assert_eq!(lines(&cpu), lines(&cuda));
    // Times decide between parameters of equal recall, so the parameters may differ.
    let tune = "tune i --query-embeddings queries.npy -k 5 --recall 0.9 --dry-run --json --device";
    for device in ["cpu", "cuda"] {
        let found: Value = serde_json::from_str(&gpu.ok(&c, &format!("{tune} {device}"))).unwrap();
        assert!(found[0]["recall"].as_f64().unwrap() > 0.9 - 1e-9, "{device}: {found}");
    }
}
