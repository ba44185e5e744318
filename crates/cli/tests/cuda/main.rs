//! `--device cuda`: the same rankings as the CPU's, or an error that says why not; never the CPU in its place.
//!
//! On this machine's GPU, or where there is none on the emulated driver of `tests/emulator/`. What asks for faults always
//! has the emulated one. Without a C++ compiler what needs it is left out, unless `SELVEDGE_REQUIRE_CUDA=1`.
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

/// Passages of the collections here. The emulated GPU takes its time: rings of more than 32 components, on which a
/// trellis' search is short, and few of them.
const PASSAGES: usize = 60;

fn collection() -> Collection {
    Collection::of(40, PASSAGES, 6)
}

/// What was printed, line by line, without times and what computed.
fn lines(printed: &str) -> Vec<Value> {
    let line = |line| {
        let mut object: Value = serde_json::from_str(line).unwrap();
        for name in ["latency_us", "stages_us", "latency_ms", "queries_per_second", "backend"] {
            object.as_object_mut().unwrap().remove(name);
        }
        object
    };
    printed.lines().map(line).collect()
}

/// Who searches an index makes no difference to the ids, the scores or how many passages were looked at, whoever built
/// it. What is not promised is that both build the same bytes: where a sum of floats lies at the edge between two levels
/// or two weights the two may choose differently, each of them always the same way.
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
    // Times decide between parameters that find as much, so that these may differ.
    let tune = "tune i --query-embeddings queries.npy -k 5 --recall 0.9 --dry-run --json --device";
    for device in ["cpu", "cuda"] {
        let found: Value = serde_json::from_str(&gpu.ok(&c, &format!("{tune} {device}"))).unwrap();
        assert!(found[0]["recall"].as_f64().unwrap() > 0.9 - 1e-9, "{device}: {found}");
    }
}
