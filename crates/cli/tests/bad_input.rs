//! Bad input gets an error that names the file, line or value, a non-zero exit code, and leaves no unfinished file.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use support::{Collection, DIM, PASSAGES, write_floats, write_lens};

#[test]
fn usage_errors_exit_with_2() {
    let c = Collection::new();
    for words in ["", "index", "search", "frobnicate", "index a b --nbits 3", "index a b --memory-budget lots"] {
        c.fails(words, 2);
    }
    assert!(c.fails("index docs.npy i", 2).contains("--embeddings"));
    assert!(c.fails("index --embeddings docs.npy i", 2).contains("--doclens"));
    c.index("i", "");
    assert!(c.fails("search i", 2).contains("no query"));
    assert!(c.fails("search i words", 2).contains("--query-embeddings"));
}

/// An option that would have no effect is refused by name, with the option that makes it so.
#[test]
fn options_without_effect_are_refused() {
    let c = Collection::new();
    let refused = |words: &str, flags: [&str; 2]| {
        let complaint = c.fails(words, 2);
        assert!(flags.iter().all(|flag| complaint.contains(flag)), "selvedge {words}: {complaint}");
        c.nothing_made("i");
    };
    let arrays = "index --embeddings docs.npy --doclens lens.npy i";
    let reading = ["--split 5", "--include *.md", "--exclude drafts", "--hidden", "--no-ignore", "--strict"];
    let encoder = ["--query-maxlen 8", "--passage-maxlen 8", "--precision f32", "--executor candle", "--model shipped"];
    for flag in reading.into_iter().chain(encoder) {
        refused(&format!("{arrays} {flag}"), ["--embeddings", flag.split(' ').next().unwrap()]);
    }
    for flag in reading.into_iter().chain(["--passage-maxlen 8"]) {
        refused(&format!("encode --queries {flag} queries.tsv i"), ["--queries", flag.split(' ').next().unwrap()]);
    }
    refused("encode --query-maxlen 8 queries.tsv i", ["--query-maxlen", "--queries"]);
    refused("encode --device cuda queries.tsv i", ["the model runs on the CPU", "--device cuda/0"]);
    refused("encode --query-maxlen 8 --split 5 queries.tsv i", ["--query-maxlen", "--queries"]);
    refused("mine i --queries queries.tsv --collection c.tsv --scores s.tsv --dense", ["--dense", "--scores"]);
    refused("search i words --query-lens lens.npy", ["--query-lens", "--query-embeddings"]);
    refused("train i --data queries.tsv --model m --precision int8", ["--precision", "--teacher"]);
    refused("train i --data queries.tsv --model m --executor candle", ["--executor", "--teacher"]);
    for command in ["search i", "tune i"] {
        let of_encoder = ["--query-maxlen 8", "--passage-maxlen 8", "--precision f32", "--executor candle"];
        for flag in ["--model m", "--any-model"].into_iter().chain(of_encoder) {
            let words = format!("{command} --query-embeddings queries.npy {flag}");
            refused(&words, ["--query-embeddings", flag.split(' ').next().unwrap()]);
        }
    }
}

#[test]
fn an_output_that_cannot_be_standard_output_is_refused() {
    let c = Collection::new();
    c.write("c.tsv", "a\tthe woven edge\n");
    let outputs = ["index c.tsv -", "index c.tsv i --save-embeddings -", "encode c.tsv -", "man -"];
    for words in outputs.into_iter().chain(["mine - --queries queries.tsv --collection c.tsv --teacher shipped"]) {
        assert!(c.fails(words, 2).contains("cannot be standard output"), "{words}");
        c.nothing_made("-");
    }
}

#[test]
fn missing_and_misshapen_arrays() {
    let c = Collection::new();
    let index = |docs: &str, lens: &str| c.fails(&format!("index --embeddings {docs} --doclens {lens} i"), 1);
    assert!(index("none.npy", "lens.npy").contains("none.npy"));
    assert!(index("docs.npy", "none.npy").contains("none.npy"));
    assert!(index("ids.txt", "lens.npy").contains("ids.txt: is not a NumPy file"));
    assert!(index("docs.npy", "docs.npy").contains("docs.npy: holds f32, expected i32"));
    assert!(index("queries.npy", "lens.npy").contains("expected (total_tokens, D)"));
    let bytes = std::fs::read(c.path("docs.npy")).unwrap();
    std::fs::write(c.path("cut.npy"), &bytes[..bytes.len() - 5]).unwrap();
    assert!(index("cut.npy", "lens.npy").contains("cut.npy"));
    let mut nan = bytes.clone();
    let at = nan.len() - 4;
    nan[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(c.path("nan.npy"), nan).unwrap();
    assert!(index("nan.npy", "lens.npy").contains("not finite"));
    c.write("few.txt", "a\nb\n");
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy --ids few.txt i", 1);
    assert!(complaint.contains("few.txt") && complaint.contains("300"), "{complaint}");
    c.write("twice.txt", &"same\n".repeat(300));
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy --ids twice.txt i", 1);
    assert!(complaint.contains("same"), "{complaint}");
    c.nothing_made("i");
}

#[test]
fn an_index_that_exists_is_left_alone() {
    let c = Collection::new();
    c.index("i", "");
    let before = c.ok("info i --json");
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy i --nbits 4", 1);
    assert!(complaint.contains("exists"), "{complaint}");
    assert_eq!(before, c.ok("info i --json"));
}

#[test]
fn a_budget_that_cannot_hold_the_centroids() {
    let c = Collection::new();
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy i --memory-budget 10k", 1);
    assert!(complaint.contains("--memory-budget") && !complaint.contains("0 centroids"), "{complaint}");
    c.nothing_made("i");
    // The budget that the message names is enough.
    c.write("c.tsv", "a\tthe woven edge\n");
    let complaint = c.fails("index c.tsv i --memory-budget 1", 1);
    let needed = complaint.split(' ').rev().skip_while(|&word| word != "bytes").nth(1).unwrap();
    c.ok(&format!("index c.tsv i --memory-budget {needed}"));
}

/// The passages that are sampled to train the codec have no token; the passage with tokens is found nevertheless.
#[test]
fn one_passage_with_tokens_among_very_many_without() {
    let c = Collection::new();
    let rows: Vec<Vec<f32>> = (0..3).map(|at| (0..DIM).map(|i| f32::from(i == at)).collect()).collect();
    write_floats(&c.path("few.npy"), &rows, &[3, DIM]);
    for pid in [77, 119_999] {
        let mut lens = vec![0; 120_000];
        lens[pid] = 3;
        write_lens(&c.path("few-lens.npy"), &lens);
        c.ok(&format!("index --embeddings few.npy --doclens few-lens.npy i{pid}"));
        let hits = c.ok(&format!("search i{pid} --query-embeddings queries.npy --json --exact -k 1"));
        assert!(hits.contains(&format!("\"id\":\"{pid}\"")), "{hits}");
    }
    write_lens(&c.path("none.npy"), &[0; 4]);
    write_floats(&c.path("no.npy"), &[], &[0, DIM]);
    let complaint = c.fails("index --embeddings no.npy --doclens none.npy i", 1);
    assert!(complaint.contains("no passage has a token"), "{complaint}");
}

#[test]
fn queries_that_do_not_fit() {
    let c = Collection::new();
    c.index("i", "");
    let search = |words: &str| c.fails(&format!("search i {words}"), 1);
    assert!(search("--query-embeddings none.npy").contains("none.npy"));
    assert!(search("--query-embeddings docs.npy").contains("expected (queries, tokens, D)"));
    assert!(search("--query-embeddings queries.npy --query-lens lens.npy").contains("do not fit"));
    c.write("bad.tsv", "q1\tfine\nno tab here\n");
    let complaint = search("--queries bad.tsv --query-embeddings queries.npy");
    assert!(complaint.contains("bad.tsv, line 2"), "{complaint}");
}

#[test]
fn queries_that_are_no_embeddings() {
    let c = Collection::new();
    c.index("i", "");
    let query = |value: f32, tokens: usize, dim: usize| {
        let mut rows = vec![vec![0.1; dim]; tokens];
        rows[tokens - 1][dim - 1] = value;
        write_floats(&c.path("q.npy"), &rows, &[1, tokens, dim]);
    };
    for mode in ["", "--exact"] {
        let complaint = || c.fails(&format!("search i --query-embeddings q.npy {mode}"), 1);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            query(bad, 3, DIM);
            assert!(complaint().contains("q.npy: row 2 has a component that is not finite"));
        }
        query(-3e38, 3, DIM);
        assert!(complaint().contains("embedding 2 of the query has the component -3e38"));
        query(0.1, 3, DIM + 8);
        assert!(complaint().contains("q.npy: has dim 40, the index has 32"));
        query(0.1, 10_000, DIM);
        assert!(complaint().contains("the query has 10000 tokens; at most 4096"));
        write_floats(&c.path("q.npy"), &[], &[1 << 40, 0, DIM]);
        assert!(complaint().contains("no query has a token"));
    }
    query(f32::NAN, 3, DIM);
    let eval = "eval i --qrels qrels.tsv --embeddings docs.npy --doclens lens.npy --query-embeddings";
    assert!(c.fails(&format!("{eval} q.npy"), 1).contains("not finite"));
}

#[test]
fn queries_that_ask_for_nothing_or_for_too_much() {
    let c = Collection::new();
    c.index("i", "--centroids 16");
    let search = |options: &str| -> Vec<Vec<String>> {
        let lines = c.ok(&format!("search i --query-embeddings queries.npy --json {options}"));
        let ids = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["results"].as_array().unwrap().iter().map(|r| r["id"].to_string()).collect()
        };
        lines.lines().map(ids).collect()
    };
    let all = search("-k 300 --exact");
    assert!(all.iter().all(|found| found.len() == PASSAGES - 1), "all but the one passage without a token");
    for options in ["-k 301", "-k 18446744073709551615", "-k 300 --nprobe 17", "-k 300 --nprobe 18446744073709551615"] {
        assert!(search(options) == all, "{options}");
    }
    for options in ["-k 0", "-k 0 --exact", "-k 4 --nprobe 0", "-k 4 --ndocs 0", "-k 4 --nfull 0"] {
        let refused = c.fails(&format!("search i --query-embeddings queries.npy {options}"), 2);
        assert!(refused.contains("is 0: expected at least 1"), "{options}: {refused}");
    }
    assert_eq!(search("-k 4 --nprobe 1 --ndocs 1 --nfull 1"), search("-k 4 --nprobe 1 --ndocs 4 --nfull 4"));
    // Zero rows at the end of a query are padding, so these queries have no token.
    write_floats(&c.path("zeros.npy"), &vec![vec![0.0; DIM]; 6], &[2, 3, DIM]);
    write_lens(&c.path("none.npy"), &[0, 0, 0]);
    write_floats(&c.path("no-rows.npy"), &[], &[0, DIM]);
    for query in ["zeros.npy", "no-rows.npy --query-lens none.npy"] {
        let said = c.ok(&format!("search i --query-embeddings {query}"));
        assert!(said.contains("nothing found"), "{query}: {said}");
    }
    c.write("zeros.tsv", "q0\tnothing\nq1\tnothing\n");
    let zeros = c.ok("eval i --qrels qrels.tsv --embeddings docs.npy --doclens lens.npy --query-embeddings zeros.npy \
         --queries zeros.tsv");
    assert!(!zeros.contains("NaN"), "{zeros}");
}

#[test]
fn any_positive_number_of_threads() {
    let c = Collection::new();
    for (number, threads) in [1, 5].into_iter().enumerate() {
        let index = format!("i{number}");
        c.index(&index, &format!("--centroids 16 --threads {threads}"));
        c.ok(&format!("verify {index} --threads {threads}"));
        c.ok(&format!("search {index} --query-embeddings queries.npy --threads {threads}"));
        let eval = "--qrels qrels.tsv --embeddings docs.npy --doclens lens.npy --query-embeddings queries.npy \
             --queries queries.tsv --json";
        let report: serde_json::Value =
            serde_json::from_str(&c.ok(&format!("eval {index} {eval} --threads {threads}"))).unwrap();
        assert_eq!(report["threads"], threads);
    }
    for command in ["index a b", "search i0 words", "eval i0 --qrels q", "verify i0"] {
        assert!(c.fails(&format!("{command} --threads 0"), 2).contains("leave --threads out"));
    }
    for threads in ["-1", "many", "1025", "99999999999999999999"] {
        assert!(c.fails(&format!("verify i0 --threads={threads}"), 2).contains("leave --threads out"));
    }
}

#[test]
fn every_flipped_or_missing_byte_is_noticed() {
    let c = Collection::new();
    c.index("i", "--nbits 1 --centroids 16");
    let files: Vec<_> = std::fs::read_dir(c.path("i")).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 7);
    c.ok("verify i");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).unwrap();
        for damage in ["flip", "cut", "gone"] {
            match damage {
                "flip" => {
                    let mut broken = bytes.clone();
                    let middle = broken.len() / 2;
                    broken[middle] ^= 4;
                    std::fs::write(&file, broken).unwrap();
                }
                "cut" => std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
                _ => std::fs::remove_file(&file).unwrap(),
            }
            let complaint = c.fails("search i --query-embeddings queries.npy", 1);
            let is_lost = name.starts_with("manifest") && complaint.contains("its manifest");
            let is_named = complaint.contains(&name) || is_lost;
            assert!(is_named, "{damage} {name}: {complaint}");
            let output = c.run("verify i");
            let report = String::from_utf8_lossy(&output.stdout);
            let line = report.lines().find(|l| l.starts_with(&name)).unwrap_or_default();
            assert!(output.status.code() == Some(1) && line.contains("BROKEN"), "{damage} {name}: {report}");
            std::fs::write(&file, &bytes).unwrap();
        }
    }
    c.ok("verify i");
    for words in
        ["search nowhere words", "tune nowhere --query-embeddings queries.npy", "info nowhere", "verify nowhere"]
    {
        let complaint = c.fails(words, 1);
        assert!(complaint.contains("nowhere: there is no index at this path (`selvedge index`"), "{complaint}");
    }
    assert!(c.fails("search docs.npy words", 1).contains("docs.npy: there is no index"));
}
