//! Searches for words on the command line, alone and beside MaxSim.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use support::Collection;

const TEXTS: [(&str, &str); 6] = [
    ("parser", "The parser reads expressions with ExprParser::parse_binary_op and returns a tree."),
    ("lexer", "A lexer splits the source into tokens, which parsers read."),
    ("pump", "Part AB-1234/X is the pump of the cooling circuit."),
    ("valve", "Part AB-1235/X is the valve of the cooling circuit."),
    ("tree", "The oldest trees of the forest are oaks; an oak lives for centuries."),
    ("empty", ""),
];

fn collection() -> Collection {
    let c = Collection::of(8, 40, 2);
    let line = |(id, text): &(&str, &str)| {
        serde_json::json!({ "id": id, "text": text, "kind": if text.starts_with("Part") { "part" } else { "text" } })
            .to_string()
    };
    c.write("texts.jsonl", &(TEXTS.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"));
    c
}

/// Ids that a search for one query finds, best first.
fn ids(c: &Collection, query: &str, options: &str) -> Vec<String> {
    let mut command = c.command("search i --json", &[]);
    let output = command.arg(query).args(options.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found["results"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn words_are_found_alone_and_beside_maxsim() {
    let c = collection();
    c.ok("index texts.jsonl i");
    assert_eq!(ids(&c, "AB-1235/X", "--lexical -k 1"), ["valve"]);
    assert_eq!(ids(&c, "parse_binary_op", "--lexical"), ["parser"]);
    assert_eq!(ids(&c, "binary expressions", "--lexical"), ["parser"], "the parts of a name are words");
    assert_eq!(ids(&c, "parsers", "--lexical").len(), 2);
    assert_eq!(ids(&c, "oaks", "--lexical"), ["tree"], "oak and oaks have one stem");
    assert_eq!(ids(&c, "xylophone", "--lexical"), [""; 0]);
    assert_eq!(ids(&c, "AB-1235/X", "--hybrid")[0], "valve");
    assert_eq!(ids(&c, "AB-1235/X", "--hybrid --alpha 0")[0], "valve");
    assert_eq!(ids(&c, "AB-1235/X", "--hybrid --alpha 1"), ids(&c, "AB-1235/X", "--exact"), "MaxSim alone");
    assert_eq!(ids(&c, "cooling", "--lexical-first 2").len(), 2);
    assert_eq!(ids(&c, "cooling", "--lexical --where kind='part'").len(), 2);
    assert_eq!(ids(&c, "cooling", "--hybrid --where kind='text'").len(), 3);
    // They change with the index.
    c.ok("delete i valve");
    assert_eq!(ids(&c, "AB-1235/X", "--lexical -k 1"), ["pump"]);
    c.write("more.jsonl", r#"{"id": "new", "text": "Part AB-1235/X was replaced by a new valve."}"#);
    c.ok("add i more.jsonl");
    assert_eq!(ids(&c, "AB-1235/X", "--lexical -k 1"), ["new"]);
    c.ok("compact i");
    assert_eq!(ids(&c, "AB-1235/X", "--lexical")[..2], ["new", "pump"]);
    c.ok("compact i --retrain=stored");
    assert_eq!(ids(&c, "AB-1235/X", "--lexical")[..2], ["new", "pump"]);
    c.ok("verify i");
}

#[test]
fn an_index_without_words_names_the_way_to_them() {
    let c = collection();
    c.ok("index texts.jsonl i --no-words");
    for score in ["--lexical", "--hybrid", "--lexical-first 3"] {
        let refused = c.fails(&format!("search i oaks {score}"), 1);
        assert!(
            refused.contains("the index has no words") && refused.contains("compact --language english"),
            "{refused}"
        );
    }
    c.ok("delete i empty");
    let before: Value = serde_json::from_str(&c.ok("info i --json")).unwrap();
    c.ok("compact i --language none");
    assert_eq!(ids(&c, "oaks", "--lexical"), ["tree"]);
    assert_eq!(ids(&c, "living", "--lexical"), [""; 0], "no stems");
    c.ok("compact i --language english");
    assert_eq!(ids(&c, "living", "--lexical"), ["tree"]);
    let after: Value = serde_json::from_str(&c.ok("info i --json")).unwrap();
    assert_eq!((&before["language"], &after["language"]), (&Value::Null, &"english".into()));
    assert_eq!(before["passages"], after["passages"]);
    assert!(c.fails("compact i --language klingon", 2).contains("unknown language \"klingon\""));
    assert!(c.fails("search i oaks --hybrid --alpha 1.5", 2).contains("from 0 to 1"));
    c.fails("search i oaks --alpha 0.5", 2);
    c.fails("search i oaks --hybrid --lexical", 2);
    // Embeddings have no words to search for.
    c.index("e", "");
    assert!(c.fails("search e --query-embeddings queries.npy --hybrid", 2).contains("texts of the queries"));
    assert!(c.fails("compact e --language english", 1).contains("holds no text to take words from"));
    assert!(c.fails("search i --queries - --ids -", 2).contains("cannot both be standard input"));
}

#[test]
fn rankings_are_compared_in_one_table() {
    let c = collection();
    c.ok("index texts.jsonl i");
    c.write("q.tsv", "q1\tAB-1235/X\nq2\toak\n");
    c.write("r.tsv", "q1\tvalve\t1\nq2\ttree\t1\n");
    let eval = "eval i --queries q.tsv --qrels r.tsv --compare dense,lexical,maxsim,hybrid";
    let report: Value = serde_json::from_str(&c.ok(&format!("{eval} --json"))).unwrap();
    let compared = report["compared"].as_array().unwrap();
    let rankings: Vec<&str> = compared.iter().map(|ranking| ranking["ranking"].as_str().unwrap()).collect();
    assert_eq!(rankings, ["dense", "lexical", "maxsim", "hybrid"]);
    assert_eq!((&compared[1]["ndcg@10"], &compared[3]["ndcg@10"]), (&1.0.into(), &1.0.into()), "{report}");
    assert_eq!(compared[2]["ndcg@10"], report["ndcg@10"], "the search that is measured");
    assert!(compared[0]["p50_ms"].is_null() && compared[3]["p50_ms"].is_f64(), "{report}");
    assert!(c.ok(eval).contains("compared: hybrid"));
}
