//! `selvedge import` and `selvedge export`, with indexes that other libraries made and that they would open.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Collection, PASSAGES};

/// An index of `crates/bridges/tests/fixtures`, of 60 passages.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bridges/tests/fixtures").join(name)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Ids of the first results of each query of the collection, by exhaustive search.
fn best(c: &Collection, index: &str, k: usize) -> Vec<Vec<String>> {
    let trec = c.ok(&format!("search {index} --query-embeddings queries.npy --exact -k {k} --trec run"));
    let trec = if trec.is_empty() { std::fs::read_to_string(c.path("run")).unwrap() } else { trec };
    let mut best: Vec<Vec<String>> = Vec::new();
    for line in trec.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if columns[3] == "1" {
            best.push(Vec::new());
        }
        best.last_mut().unwrap().push(columns[2].to_owned());
    }
    best
}

/// Share of the first lists that is in the second.
fn shared(of: &[Vec<String>], with: &[Vec<String>]) -> f64 {
    let found: usize = of.iter().zip(with).map(|(a, b)| a.iter().filter(|id| b.contains(id)).count()).sum();
    found as f64 / of.iter().map(Vec::len).sum::<usize>() as f64
}

#[test]
fn an_index_of_plaid_is_found_and_imported_in_both_ways() {
    let c = Collection::new();
    let plaid = fixture("plaid-2");
    let found = c.ok(&format!("import --dry-run {}", plaid.display()));
    assert_eq!(
        found,
        "PLAID (ColBERT), dim 32, 2 bits, 256 centroids, 60 passages, 772 tokens, 0 deleted, model \
         colbert-ir/colbertv2.0\n"
    );
    let lines: String =
        (0..60).map(|p| format!("{{\"id\": \"p{p}\", \"text\": \"passage {p}\", \"n\": {p}}}\n")).collect();
    c.write("texts.jsonl", &lines);
    let import = format!("import {} i --collection texts.jsonl --language english --json", plaid.display());
    let report = json(&c.ok(&import));
    assert_eq!((&report["source"]["format"], &report["passages"]), (&"plaid".into(), &60.into()));
    let info = json(&c.ok("info i --json"));
    assert_eq!((&info["codec"], &info["encoder"]["model"]), (&"colbertv2".into(), &"colbert-ir/colbertv2.0".into()));
    assert_eq!(info["encoder"]["query_maxlen"], 8);
    c.ok("verify i");
    let hits = json(&c.ok("search i passage-7 --lexical -k 1 --json"));
    assert_eq!(hits["results"][0]["id"], "p7", "{hits}");
    let hits = c.ok("search i --query-embeddings queries.npy -k 1 --where n=7 --json");
    assert!(hits.contains("\"p7\"") && hits.contains("passage 7"), "{hits}");
    c.ok(&format!("import {} recoded --recode --nbits 4 --collection texts.jsonl", plaid.display()));
    assert_eq!(json(&c.ok("info recoded --json"))["codec"], "selvedge");
    let same = shared(&best(&c, "recoded", 10), &best(&c, "i", 10));
    assert!(same > 0.9, "of ten, {same} are the same");
}

#[test]
fn a_collection_of_another_size_is_refused_and_nothing_is_left() {
    let c = Collection::new();
    c.write("texts.jsonl", "{\"id\": \"a\", \"text\": \"one\"}\n");
    let said = c.fails(&format!("import {} i --collection texts.jsonl", fixture("plaid-2").display()), 1);
    assert!(said.contains("texts.jsonl: has 1 documents, expected 60 (--collection)"), "{said}");
    c.nothing_made("i");
    let said = c.fails(&format!("import {} i --language english", fixture("plaid-2").display()), 2);
    assert!(said.contains("--collection"), "{said}");
    let said = c.fails("import . i", 1);
    assert!(said.contains("known are PLAID"), "{said}");
}

/// Exported and imported again: the codes of an index of buckets are the same; any other is coded a second time.
#[test]
fn what_is_exported_is_imported_again() {
    let c = Collection::new();
    c.index("ours", "--nbits 4");
    c.index("buckets", "--nbits 2 --codec colbertv2");
    for format in ["plaid", "fast-plaid", "next-plaid"] {
        for (index, least) in [("ours", 0.9), ("buckets", 0.97)] {
            let out = format!("{index}-{format}");
            let report = json(&c.ok(&format!("export {index} {out} --format {format} --json")));
            assert_eq!(report["passages"], PASSAGES);
            assert_eq!(report["as_is"], index == "buckets");
            let back = format!("{out}-back");
            let found = json(&c.ok(&format!("import {out} {back} --collection {out}/documents.jsonl --json")));
            assert_eq!(found["source"]["format"], format);
            let same = shared(&best(&c, index, 10), &best(&c, &back, 10));
            assert!(same >= least, "{out}: of ten, {same} are the same");
        }
    }
    let said = c.fails("export ours ours-plaid --format plaid", 1);
    assert!(said.contains("exists"), "{said}");
}

/// The name of the checkpoint goes out and comes back, so that texts are found again by a query of text.
#[test]
fn queries_of_text_work_with_the_checkpoint_of_the_source() {
    let c = Collection::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/stanford_bert");
    let texts =
        ["the red pie", "a cup of tea", "logs are rotated daily", "the manifest is written last", "tea and pie"];
    let lines = texts.iter().zip(0..).map(|(text, i)| format!("{{\"id\": \"t{i}\", \"text\": \"{text}\"}}\n"));
    c.write("texts.jsonl", &lines.collect::<String>());
    c.ok(&format!("index texts.jsonl i --model {} --codec colbertv2", model.display()));
    c.ok("export i plaid --format plaid");
    c.ok("import plaid back --collection plaid/documents.jsonl");
    let encoder = json(&c.ok("info back --json"))["encoder"].clone();
    assert_eq!((&encoder["fingerprint"], &encoder["query_maxlen"]), (&"".into(), &14.into()));
    for query in ["pie", "tea"] {
        let found = |index| -> Vec<Value> {
            let hits = json(&c.ok(&format!("search {index} {query} -k 3 --exact --json")));
            hits["results"].as_array().unwrap().iter().map(|hit| hit["id"].clone()).collect()
        };
        assert_eq!(found("back"), found("i"), "{query}");
    }
    // Another dimension is refused.
    let other = fixture("next-plaid-2");
    c.ok(&format!("import {} other --model {}", other.display(), model.display()));
    let said = c.fails("search other pie", 1);
    assert!(said.contains("16") && said.contains("32"), "{said}");
}

/// Answers requests with the description of a collection, then with its points in pages of two. Returns its URL.
fn qdrant(dim: usize, points: Vec<Value>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/collections/c", listener.local_addr().unwrap());
    let vectors = serde_json::json!({
        "v": { "size": dim, "distance": "Dot", "multivector_config": { "comparator": "max_sim" } }
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut head, mut body) = (String::new(), Vec::new());
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let length =
                head.to_lowercase().split("content-length: ").nth(1).map(|rest| rest.lines().next().unwrap().parse());
            reader.by_ref().take(length.map_or(0, Result::unwrap)).read_to_end(&mut body).unwrap();
            let (status, answer) = if !head.to_lowercase().contains("api-key: hidden") {
                (401, serde_json::json!({ "status": { "error": "no key" } }))
            } else if head.starts_with("GET") {
                let info = serde_json::json!({ "params": { "vectors": vectors } });
                (200, serde_json::json!({ "result": { "config": info, "points_count": points.len() } }))
            } else {
                let at = json(&String::from_utf8(body).unwrap())["offset"].as_u64().unwrap_or(0) as usize;
                let (end, next) = ((at + 2).min(points.len()), (at + 2 < points.len()).then_some(at + 2));
                (200, serde_json::json!({ "result": { "points": points[at..end], "next_page_offset": next } }))
            };
            let (answer, stream) = (answer.to_string(), reader.get_mut());
            let length = answer.len();
            write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}")
                .unwrap();
        }
    });
    url
}

/// Embeddings of another store are found by queries of text and by words, if their model is named.
#[test]
fn a_collection_of_qdrant_becomes_an_index() {
    let c = Collection::new();
    let texts = ["the woven edge of a cloth", "", "late interaction", "a loom holds threads", "logs are rotated"];
    let lines = texts.iter().zip(0..).map(|(text, id)| format!("{id}\t{text}\n"));
    c.write("texts.tsv", &lines.collect::<String>());
    c.ok("encode texts.tsv whole --f32");
    let mut npy = selvedge::npy::NpyFloats::open(&c.path("whole/docs.npy")).unwrap();
    let (mut first, dim) = (0, npy.dim());
    let lens = selvedge::npy::read_lens(&c.path("whole/doclens.npy")).unwrap();
    let points = texts.iter().zip(lens).enumerate().map(|(id, (text, len))| {
        let mut rows = Vec::new();
        npy.read_rows(first, len as usize, &mut rows).unwrap();
        first += len as usize;
        let rows: Vec<&[f32]> = rows.chunks(dim).collect();
        serde_json::json!({ "id": 100 + id, "payload": { "content": text, "n": id }, "vector": { "v": rows } })
    });
    let url = qdrant(dim, points.collect());

    let said = c.fails(&format!("import {url} i"), 1);
    assert!(said.contains("HTTP 401: no key") && said.contains("(QDRANT_API_KEY)"), "{said}");
    c.nothing_made("i");
    let run = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        let command = command.args(words.split_whitespace()).env("QDRANT_API_KEY", "hidden").current_dir(c.path(""));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains("hidden"), "{words}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&format!("import --dry-run {url}")), format!("qdrant, dim {dim}, 5 points, vectors \"v\"\n"));
    let report = json(&run(&format!("import {url} i --model shipped --nbits 4 --json")));
    assert_eq!((&report["passages"], &report["source"]["format"]), (&5.into(), &"qdrant".into()));
    let best = |flags: &str| json(&c.ok(&format!("search i {flags} -k 1 --json")))["results"][0]["id"].clone();
    assert_eq!(
        (best("cloth"), best("threads --lexical"), best("cloth --where n>3")),
        ("100".into(), "103".into(), "104".into())
    );
    // Flags of the other kind of source.
    for (words, flag) in [
        (format!("import {} j --vector v", fixture("plaid-2").display()), "--vector"),
        (format!("import {} j --nbits 4", fixture("plaid-2").display()), "--recode"),
    ] {
        assert!(c.fails(&words, 2).contains(flag), "{words}");
    }
}

/// Parquet is read by builds with the feature; the others name it.
#[test]
fn a_parquet_file_becomes_an_index() {
    let c = Collection::new();
    let import = format!("import {} i", fixture("vectors/rows.parquet").display());
    if cfg!(feature = "parquet") {
        c.ok(&import);
        let info = json(&c.ok("info i --json"));
        assert_eq!((&info["passages"], &info["dim"]), (&3.into(), &8.into()), "{info}");
    } else {
        assert!(c.fails(&import, 2).contains("--features parquet"));
        c.nothing_made("i");
    }
}
