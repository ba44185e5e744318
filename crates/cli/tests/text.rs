//! Text in, passages out, with the tiny golden checkpoints; and every way that text can be bad.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use support::Collection;

fn golden(case: &str) -> String {
    format!("{}/../../tests/golden/{case}", env!("CARGO_MANIFEST_DIR"))
}

const TEXTS: [(&str, &str); 4] = [
    ("a", "the woven edge keeps a cloth from fraying"),
    ("b", "a query is answered from compressed bytes"),
    ("empty", ""),
    ("c", "one vector for every token of the text"),
];

fn results(out: &str) -> Vec<Vec<Value>> {
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["results"].as_array().unwrap().clone();
    out.lines().map(line).collect()
}

fn fill(c: &Collection) {
    let tsv: String = TEXTS.iter().map(|(id, text)| format!("{id}\t{text}\n")).collect();
    c.write("c.tsv", &tsv);
    let jsonl: String =
        TEXTS.iter().map(|(id, text)| format!("{}\n", serde_json::json!({"id": id, "text": text, "n": 1}))).collect();
    c.write("c.jsonl", &jsonl);
    std::fs::create_dir_all(c.path("folder/deep")).unwrap();
    c.write("folder/a", TEXTS[0].1);
    c.write("folder/.hidden", "not me");
    c.write("folder/deep/b", TEXTS[1].1);
    c.write("folder/long.txt", &"So it goes on and on. ".repeat(60));
}

#[test]
fn every_kind_of_collection_for_every_family() {
    let c = Collection::new();
    fill(&c);
    for family in ["plain_bert", "pylate_bert", "stanford_bert", "sentence_transformers_modernbert"] {
        let model = golden(family);
        for (name, collection) in [("t", "c.tsv"), ("j", "c.jsonl"), ("f", "folder")] {
            let index = format!("{family}-{name}");
            c.ok(&format!("index {collection} {index} --model {model} --nbits 4"));
            c.write("q.tsv", &format!("q\t{}\nnothing\t\n", TEXTS[1].1));
            let found = results(&c.ok(&format!("search {index} --queries q.tsv --json -k 50")));
            let expected = if collection == "folder" { "deep/b" } else { "b" };
            // The models are tiny and random: the passage is found, not always first.
            let hit = found[0].iter().find(|r| r["id"] == expected).unwrap_or_else(|| panic!("{family} {collection}"));
            assert_eq!(hit["text"], TEXTS[1].1);
            assert!(found[0].iter().all(|r| r["id"] != "empty"), "an empty passage never matches");
            assert!(found[1].is_empty(), "an empty query returns nothing");
            let metadata = match collection {
                "c.jsonl" => serde_json::json!({"n": 1}),
                "folder" => serde_json::json!({"file": "deep/b", "line": 1}),
                _ => serde_json::Value::Null,
            };
            assert_eq!(hit["metadata"], metadata);
        }
    }
    let ids: Vec<String> = results(&c.ok("search plain_bert-f on --json -k 50"))[0]
        .iter()
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(ids.contains(&"long.txt#1".to_owned()) && !ids.iter().any(|id| id.contains("hidden")), "{ids:?}");
    c.ok("verify plain_bert-f");
    assert!(c.ok("search plain_bert-t woven edge").contains("the woven edge"));
}

#[test]
fn standard_input_is_a_collection() {
    let c = Collection::new();
    fill(&c);
    for (index, file) in [("from-tsv", "c.tsv"), ("from-jsonl", "c.jsonl")] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_selvedge"))
            .args(["index", "-", index, "--model", &golden("plain_bert")])
            .current_dir(c.dir.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&std::fs::read(c.path(file)).unwrap()).unwrap();
        assert!(child.wait().unwrap().success());
        let info: Value = serde_json::from_str(&c.ok(&format!("info {index} --json"))).unwrap();
        assert_eq!(info["passages"], 4);
    }
}

#[test]
fn eval_encodes_again_and_saved_embeddings_agree() {
    let c = Collection::new();
    fill(&c);
    let model = golden("pylate_bert");
    c.ok(&format!("index c.tsv i --model {model} --save-embeddings saved"));
    c.write("q.tsv", &format!("q\t{}\n", TEXTS[3].1));
    c.write("r.tsv", "q\tc\t1\n");
    let report = |more: &str| -> Value {
        let out = c.ok(&format!("eval i --queries q.tsv --qrels r.tsv --json {more}"));
        serde_json::from_str(&out).unwrap()
    };
    let (again, saved) = (report("--dense"), report("--embeddings saved/docs.npy --doclens saved/doclens.npy"));
    assert_eq!(again["ndcg@10"], 1.0);
    assert!(again["dense"]["ndcg@10"].is_number() && saved["dense"].is_null());
    assert_eq!(again["exact_f32"], saved["exact_f32"]);
    assert_eq!(std::fs::read_to_string(c.path("saved/ids.txt")).unwrap(), "a\nb\nempty\nc\n");
}

#[test]
fn bad_text_is_named_by_file_and_line() {
    let c = Collection::new();
    fill(&c);
    let model = golden("plain_bert");
    let index = |collection: &str| c.fails(&format!("index {collection} i --model {model}"), 1);
    assert!(index("none.tsv").contains("none.tsv"));
    c.write("bad.jsonl", "{\"id\": \"a\", \"text\": \"fine\"}\n{\"id\": \"b\", \"text\": \n");
    assert!(index("bad.jsonl").contains("bad.jsonl, line 2: malformed JSON"));
    c.write("bad.jsonl", "{\"id\": \"a\"}\n");
    assert!(index("bad.jsonl").contains("\"text\" is missing"));
    c.write("bad.tsv", "a\tfine\nno tab\n");
    assert!(index("bad.tsv").contains("bad.tsv, line 2"));
    c.write("twice.tsv", "a\tone\nb\ttwo\na\tthree\n");
    assert!(index("twice.tsv").contains("twice.tsv, line 3: id \"a\" is used twice"));
    c.write("nothing.tsv", "\n\n");
    assert!(index("nothing.tsv").contains("holds no passage"));
    c.write("blank.tsv", "a\t\nb\t \n");
    assert!(index("blank.tsv").contains("nothing to index"));
    std::fs::write(c.path("latin.tsv"), b"a\tfine\nb\tcaf\xe9\n").unwrap();
    assert!(index("latin.tsv").contains("latin.tsv, line 2: not valid UTF-8"));
    c.write("empty-id.jsonl", "{\"id\": \"\", \"text\": \"fine\"}\n");
    assert!(index("empty-id.jsonl").contains("empty-id.jsonl, line 1: the id \"\" is blank"));
    std::fs::create_dir(c.path("hollow")).unwrap();
    assert!(index("hollow").contains("hollow: holds no passage"));
    let left = std::fs::read_dir(c.dir.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    assert!(left.filter(|f| f == "i" || f.contains("partial")).count() == 0, "nothing is left behind");
}

#[test]
fn another_model_is_refused() {
    let c = Collection::new();
    fill(&c);
    c.ok(&format!("index c.tsv i --model {}", golden("plain_bert")));
    let complaint = c.fails(&format!("search i woven --model {}", golden("plain_distilbert")), 1);
    assert!(complaint.contains("fingerprint") && complaint.contains("plain_bert"), "{complaint}");
    assert!(c.fails("index c.tsv j --model no/such/model", 1).contains("no/such/model"));
    // The maximum query length is not part of the fingerprint: another one is not another model.
    c.ok("search i woven --query-maxlen 8");
    let refused = c.fails("search i woven --query-maxlen 5000", 1);
    assert!(refused.contains("length of a query is 5000 tokens") && refused.contains("(--query-maxlen)"), "{refused}");
    assert!(!refused.contains("cannot be loaded"), "{refused}");
}

/// Pooling keeps a third of the tokens. Ground truth that is encoded again is pooled, too: pooled embeddings rank these
/// passages in another order than all embeddings, and `eval` uses the order of the pooled ones that the build saved.
#[test]
fn a_pooled_index_is_measured_against_pooled_embeddings() {
    let c = Collection::new();
    let words = ["warp", "weft", "loom", "cloth", "shuttle", "thread", "edge", "yarn", "dye", "wool", "pattern"];
    let text = |n: usize| (0..12).map(|i| words[(n * (i + 3) + i * i) % words.len()]).collect::<Vec<_>>().join(" ");
    c.write("c.tsv", &(0..40).map(|n| format!("p{n}\t{}\n", text(n))).collect::<String>());
    let model = golden("pylate_bert");
    let tokens = |index: &str, more: &str| {
        c.ok(&format!("index c.tsv {index} --model {model} --nbits 8 --save-embeddings {index}-saved {more}"));
        let info: Value = serde_json::from_str(&c.ok(&format!("info {index} --json"))).unwrap();
        (info["tokens"].as_u64().unwrap(), info["build"]["pool"].clone())
    };
    let (all, pool) = tokens("all", "");
    assert!(all > 20 && pool.is_null(), "{all} {pool}");
    let (pooled, pool) = tokens("pooled", "--pool 3");
    assert!(pool == 3 && (all.div_ceil(3)..=all.div_ceil(3) + 40).contains(&pooled), "{pooled} of {all}");
    let queries: Vec<String> = (0..11).map(|n| format!("q{n}\t{} {}\n", words[n], words[(n * 4 + 2) % 11])).collect();
    c.write("q.tsv", &queries.concat());
    c.write("r.tsv", &(0..11).map(|n| format!("q{n}\tp{}\t1\n", n * 3)).collect::<String>());
    let truth = |more: &str| -> Value {
        let report = c.ok(&format!("eval pooled --queries q.tsv --qrels r.tsv --json {more}"));
        serde_json::from_str::<Value>(&report).unwrap()["exact_f32"].clone()
    };
    let saved =
        |index: &str| truth(&format!("--embeddings {index}-saved/docs.npy --doclens {index}-saved/doclens.npy"));
    assert_ne!(saved("pooled"), saved("all"), "this collection can tell them apart");
    assert_eq!(truth(""), saved("pooled"));
}

#[test]
fn files_that_are_no_text_are_skipped_and_named() {
    let c = Collection::new();
    fill(&c);
    std::fs::write(c.path("folder/picture"), b"\x89PNG\0\0").unwrap();
    std::fs::write(c.path("folder/latin.txt"), b"one\ntwo caf\xe9\n").unwrap();
    let out = c.run(&format!("index folder i --model {}", golden("pylate_bert")));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("skipped folder/picture: not text"), "{said}");
    assert!(said.contains("skipped folder/latin.txt: line 2: not valid UTF-8"), "{said}");
}

#[test]
fn ids_that_are_numbers_are_found_as_they_are_written() {
    let c = Collection::new();
    let ids = ["123456789012345678901", "123456789012345678902", "0.1000", "1e2"];
    c.write("n.jsonl", &ids.map(|id| format!("{{\"id\": {id}, \"text\": \"woven edge\"}}\n")).concat());
    c.ok(&format!("index n.jsonl i --model {}", golden("plain_bert")));
    let hits = results(&c.ok("search i woven --json"));
    let mut found: Vec<&str> = hits[0].iter().map(|hit| hit["id"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ["0.1000", "123456789012345678901", "123456789012345678902", "1e2"]);
}

#[test]
fn a_snippet_shows_the_part_that_matched() {
    let c = Collection::new();
    let filler = "The loom holds the threads of the warp while the weft is drawn over and under them. ".repeat(6);
    c.write("c.tsv", &format!("long\t{filler}Penguins live on the ice of Antarctica. {filler}\nother\t{filler}\n"));
    c.ok("index c.tsv i");
    let shown = c.ok("search i penguins");
    assert!(shown.contains("... ") && shown.contains("Penguins live on the ice of Antarctica."), "{shown}");
    // A pooled index has no row for each token: the beginning is shown.
    c.ok("index c.tsv pooled --pool 2");
    assert!(c.ok("search pooled penguins").contains("  The loom holds"));
}

/// A folder of the working directory may have the shipped model's name.
#[test]
fn the_shipped_model_is_remembered_by_its_name() {
    let c = Collection::new();
    fill(&c);
    std::fs::create_dir(c.path("shipped")).unwrap();
    c.ok("index c.tsv i");
    let info: Value = serde_json::from_str(&c.ok("info i --json")).unwrap();
    assert_eq!(info["encoder"]["model"], "shipped");
    assert!(c.ok("search i woven edge").contains("the woven edge"));
}

/// Passages of a file fill the model's length and share an eighth of it; none is cut.
#[test]
fn a_long_file_is_split_by_the_tokens_of_the_model() {
    let c = Collection::new();
    std::fs::create_dir(c.path("folder")).unwrap();
    let text: String = (0..200).map(|number| format!("word{number} ")).collect();
    c.write("folder/long.txt", &text);
    let output = c.run("index folder i --passage-maxlen 32");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("longer than"), "{said}");
    let hits = results(&c.ok("search i word7 --json -k 1000 --exact")).remove(0);
    let number = |hit: &Value| hit["id"].as_str().unwrap().strip_prefix("long.txt#").unwrap().parse().unwrap();
    let mut parts: Vec<(usize, &str)> = hits.iter().map(|hit| (number(hit), hit["text"].as_str().unwrap())).collect();
    parts.sort_unstable();
    assert!(parts.len() > 10, "{parts:?}");
    for pair in parts.windows(2) {
        let (before, after) = (pair[0].1, pair[1].1);
        assert!(before.split(' ').any(|word| after.starts_with(&format!("{word} "))), "no overlap: {pair:?}");
    }
    let found = |word: &str| parts.iter().any(|(_, text)| text.split(' ').any(|other| other == word));
    assert!(text.split_whitespace().all(found));
}

#[test]
fn cut_passages_are_counted() {
    let c = Collection::new();
    c.write("c.tsv", &format!("a\tshort\nb\t{}\nc\t{}\n", "word ".repeat(31), "word ".repeat(15)));
    let said = String::from_utf8(c.run("index c.tsv i --passage-maxlen 32").stderr).unwrap();
    assert!(said.contains("1 of 3 passages are longer than the model's 32 tokens"), "{said}");
}

#[test]
fn an_explanation_shows_what_matched() {
    let c = Collection::new();
    fill(&c);
    c.ok("index c.tsv c --model shipped");
    c.write("q.tsv", "q\twhat keeps a cloth from fraying\n");
    let out = c.ok("search c --queries q.tsv -k 1 --explain");
    assert!(!out.contains('\u{1b}'), "no colours in a pipe: {out}");
    assert!(out.contains(TEXTS[0].1), "{out}");
    let row = out.lines().find(|line| line.trim_start().starts_with("cloth")).unwrap_or_else(|| panic!("{out}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[1], cells.len()), ("cloth", 4), "{row}");
    assert!(cells[2].parse::<f32>().unwrap() > 0.5 && cells[3].ends_with('%'), "{row}");
    let hit = results(&c.ok("search c --queries q.tsv -k 1 --explain --json"))[0][0].clone();
    let why = &hit["explanation"];
    assert_eq!(why["score"], hit["score"]);
    assert_eq!(why["similarities"].as_array().unwrap().len(), why["query"].as_array().unwrap().len());
    assert_eq!(why["query"][0]["kind"], "special");
}
