//! Indexing and searching through the binary at every nbits: embeddings to an index, queries to results.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use support::{Collection, PASSAGES, QUERIES};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_nbits_finds_the_passage_that_a_query_was_made_from() {
    let c = Collection::new();
    for nbits in [0, 1, 2, 4, 8] {
        c.index(&format!("i{nbits}"), &format!("--nbits {nbits}"));
        for mode in ["", "--exact", "--nprobe 64 --ndocs 300 --nfull 200"] {
            let out =
                c.ok(&format!("search i{nbits} --query-embeddings queries.npy --queries queries.tsv --json {mode}"));
            let results = lines(&out);
            assert_eq!(results.len(), QUERIES);
            for (q, line) in results.iter().enumerate() {
                assert_eq!(line["query_id"], format!("q{q}"));
                let results = line["results"].as_array().unwrap();
                let rank = results.iter().position(|r| r["id"] == format!("passage-{}", 7 * q));
                // Centroids alone cannot tell passages of the same cells apart.
                let is_right = if nbits == 0 { rank.is_some() } else { rank == Some(0) };
                assert!(is_right, "{nbits} bits {mode}: query {q} has rank {rank:?}");
                assert!(results[0]["score"].as_f64().unwrap() > 0.5 && line["latency_us"].is_number());
                let stages = line["stages_us"].as_object().unwrap().values().map(|us| us.as_f64().unwrap());
                assert!((stages.sum::<f64>() - line["latency_us"].as_f64().unwrap()).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn colbertv2_codec_works_too() {
    let c = Collection::new();
    c.index("i", "--codec colbertv2 --nbits 4");
    let out = c.ok("search i --query-embeddings queries.npy --json --exact");
    for (q, line) in lines(&out).iter().enumerate() {
        assert_eq!(line["results"][0]["id"], format!("passage-{}", 7 * q));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_threads() {
    let c = Collection::new();
    c.index("one", "--threads 1 --seed 9");
    c.index("two", "--threads 2 --seed 9");
    c.index("other", "--threads 2 --seed 10");
    let bytes = |index: &str| {
        let mut files: Vec<_> = std::fs::read_dir(c.path(index)).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files.iter().flat_map(|f| std::fs::read(f).unwrap()).collect::<Vec<u8>>()
    };
    assert_eq!(bytes("one"), bytes("two"));
    assert_ne!(bytes("one"), bytes("other"));
}

#[test]
fn a_small_budget_gives_the_same_best_passages() {
    let c = Collection::new();
    c.index("roomy", "--centroids 64");
    // The budget holds about 550 rows of the sample, so that k-means sees only a part of it.
    c.index("tight", "--centroids 64 --memory-budget 152k");
    let sampled = |i: &str| lines(&c.ok(&format!("info {i} --json")))[0]["build"]["sample_tokens"].as_u64().unwrap();
    assert!(sampled("tight") < sampled("roomy"), "the budget was not felt");
    let best = |i: &str| {
        let out = c.ok(&format!("search {i} --query-embeddings queries.npy --json -k 1"));
        lines(&out).iter().map(|l| l["results"][0]["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(best("roomy"), best("tight"));
}

#[test]
fn eval_tells_losses_apart() {
    let c = Collection::new();
    c.index("i", "--nbits 4");
    let out = c.ok("eval i --query-embeddings queries.npy --queries queries.tsv --qrels qrels.tsv \
         --embeddings docs.npy --doclens lens.npy --json");
    let report = &lines(&out)[0];
    for key in ["ndcg@10", "mrr@10"] {
        assert!(report[key].as_f64().unwrap() > 0.95, "{report}");
        assert!(report["exact_f32"][key].as_f64().unwrap() > 0.95, "{report}");
    }
    assert!(report["recall_vs_exact@10"].as_f64().unwrap() > 0.8, "{report}");
    assert!(report["funnel_vs_exhaustive@10"].as_f64().unwrap() > 0.95, "{report}");
    assert!(report["latency_ms"]["p50"].is_number() && report["queries_per_second"].is_number());
    // Centroids alone lose more, and `eval` must show it.
    c.index("coarse", "--nbits 0 --centroids 16");
    let out = c.ok("eval coarse --query-embeddings queries.npy --queries queries.tsv --qrels qrels.tsv \
         --embeddings docs.npy --doclens lens.npy --json");
    let coarse = &lines(&out)[0];
    assert!(coarse["recall_vs_exact@10"].as_f64() < report["recall_vs_exact@10"].as_f64(), "{coarse}");
    assert_eq!(coarse["exact_f32"], report["exact_f32"]);
}

#[test]
fn what_tune_finds_is_what_search_uses() {
    let c = Collection::new();
    c.index("i", "--nbits 4");
    let eval = "eval i --query-embeddings queries.npy --queries queries.tsv --qrels qrels.tsv \
         --embeddings docs.npy --doclens lens.npy --json";
    let default = lines(&c.ok(eval))[0]["params"].clone();
    let tune = "tune i --query-embeddings queries.npy --recall 0.9 --json";
    assert_eq!(c.ok(&format!("{tune} --dry-run")).lines().count(), 1);
    assert_eq!(lines(&c.ok(eval))[0]["params"], default, "a dry run leaves the index as it is");
    let tuned = lines(&c.ok(tune))[0][1].clone();
    assert_eq!(tuned["k"], 100);
    let report = &lines(&c.ok(eval))[0];
    assert_eq!(report["params"]["mode"]["funnel"]["nprobe"], tuned["nprobe"], "{report}");
    assert_eq!(report["params"]["mode"]["funnel"]["ndocs"], tuned["ndocs"], "{report}");
    assert_eq!(report["params"]["mode"]["funnel"]["nfull"], tuned["nfull"], "{report}");
    // `tune` rounds the number of candidates up, which can only find more.
    assert!(report["funnel_vs_exhaustive@100"].as_f64().unwrap() >= tuned["recall"].as_f64().unwrap() - 1e-9);
    assert!(tuned["recall"].as_f64().unwrap() >= 0.9);
    c.ok("verify i");
    assert!(c.fails("tune i --query-embeddings queries.npy --recall 1.5", 2).contains("at most 1"));
}

#[test]
fn more_results_than_passages_gives_all_that_can_match() {
    let c = Collection::new();
    c.index("i", "");
    for mode in ["", "--exact"] {
        let out = c.ok(&format!("search i --query-embeddings queries.npy --json -k 100000 {mode}"));
        // One passage is empty: it is stored and never matches.
        assert!(lines(&out).iter().all(|l| l["results"].as_array().unwrap().len() == PASSAGES - 1), "{mode}");
    }
    let info = &lines(&c.ok("info i --json"))[0];
    assert_eq!(info["passages"], PASSAGES);
}

#[test]
fn portable_and_best_give_the_same_scores() {
    let c = Collection::new();
    c.index("i", "");
    let words = ["search", "i", "--query-embeddings", "queries.npy", "--json", "--exact"];
    let scores = |isa: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_selvedge"));
        command.args(words).current_dir(c.dir.path());
        if !isa.is_empty() {
            command.env("SELVEDGE_ISA", isa);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&String::from_utf8(output.stdout).unwrap()).iter().map(|l| l["results"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(scores("portable"), scores(""));
}
