//! Conditions on metadata on the command line: what they find, count and print, and their mistakes.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use support::Collection;

/// Twelve passages about rivers with metadata, some of it odd.
fn rivers() -> Collection {
    let c = Collection::of(8, 40, 2);
    let passage = |number: usize| {
        let lang = ["en", "de", "fr"][number % 3];
        let year = if number == 11 { "\"unknown\"".to_owned() } else { (2010 + number).to_string() };
        let text = format!("The river number {number} flows through the valley to the sea.");
        format!(
            r#"{{"id": "r{number}", "text": "{text}", "year": {year}, "at": {{"lang": "{lang}"}}, "tags": ["t{}"]}}"#,
            number % 4
        )
    };
    let lines: Vec<String> = (0..12).map(passage).collect();
    c.write("rivers.jsonl", &(lines.join("\n") + "\n"));
    c
}

/// Ids that a search finds.
fn ids(c: &Collection, options: &[&str]) -> Vec<String> {
    let output = c.command("search i river -k 50 --json", &[]).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut ids: Vec<String> =
        found["results"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn searches_find_what_a_condition_leaves() {
    let c = rivers();
    let built = c.run("index rivers.jsonl i");
    let notes = String::from_utf8(built.stderr).unwrap();
    assert!(notes.contains("\"year\" has values of several types (integer in 11, text in 1)"), "{notes}");
    assert_eq!(ids(&c, &["--where", "year >= 2018"]), ["r10", "r8", "r9"]);
    assert_eq!(ids(&c, &["--where", "NOT year >= 2018 AND at.lang = 'en'"]), ["r0", "r3", "r6"]);
    assert_eq!(ids(&c, &["--where", "tags IN ('t1') AND year IS NOT NULL", "--exact"]), ["r1", "r5", "r9"]);
    assert_eq!(ids(&c, &["--where", "at.lang = 'it'"]), [""; 0]);
    c.write("some.txt", "r1\nr2\nr9\nelsewhere\n");
    assert_eq!(ids(&c, &["--ids", "some.txt"]), ["r1", "r2", "r9"]);
    assert_eq!(ids(&c, &["--ids", "some.txt", "--where", "year < 2012"]), ["r1"]);
    c.ok("delete i r9");
    assert_eq!(ids(&c, &["--where", "year >= 2018"]), ["r10", "r8"]);
    // The metadata of later passages is committed with them, in a segment of their own.
    c.write("more.jsonl", r#"{"id": "new", "text": "A river in the north.", "year": 2030.5, "at": {"lang": "en"}}"#);
    c.ok("add i more.jsonl");
    assert_eq!(ids(&c, &["--where", "year >= 2018"]), ["new", "r10", "r8"]);
    c.ok("compact i");
    assert_eq!(ids(&c, &["--where", "year >= 2018"]), ["new", "r10", "r8"]);
    c.ok("verify i");
}

#[test]
fn values_are_counted_and_keys_are_listed() {
    let c = rivers();
    c.ok("index rivers.jsonl i");
    let columns = c.ok("info i --columns");
    let row =
        |key: &str| columns.lines().find(|line| line.starts_with(key)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row("at.lang")[..4], ["at.lang", "text", "3", "12"]);
    assert_eq!(row("year")[..4], ["year", "integer", "11", "11"]);
    let columns: Value = serde_json::from_str(&c.ok("info i --columns --json")).unwrap();
    assert_eq!(columns.as_array().unwrap().len(), 4, "{columns}");
    let found: Value = serde_json::from_str(&c.ok("search i river -k 2 --facet at.lang --facet year --json")).unwrap();
    assert_eq!(found["results"].as_array().unwrap().len(), 2);
    let facets = &found["facets"];
    assert_eq!(facets[0]["counts"].as_array().unwrap().len(), 3, "{facets}");
    assert_eq!(facets[0]["counts"][0], serde_json::json!({ "value": "de", "passages": 4 }));
    assert_eq!(facets[1]["counts"].as_array().unwrap().len(), 12, "{facets}");
    let text = c.ok("search i river -k 2 --facet at.lang --facet-depth 3");
    let counted: usize = text
        .lines()
        .skip_while(|line| *line != "at.lang, among at most 3 passages")
        .skip(1)
        .map(|line| line.split_whitespace().next().unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(counted, 3, "{text}");
}

#[test]
fn mistakes_and_strange_keys_are_named() {
    let c = rivers();
    c.ok("index rivers.jsonl i");
    let search = |condition: &str| c.command("search i river --where", &[]).arg(condition).output().unwrap();
    let refused = search("year >= 2018 AND");
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("column 17 of the filter: expected a key, NOT or (, found the end"), "{message}");
    let unknown = search("yaer = 2018 OR tags > 3");
    let message = String::from_utf8(unknown.stderr).unwrap();
    assert!(unknown.status.success(), "{message}");
    assert!(message.contains("no passage has the key \"yaer\"; `selvedge info --columns` lists keys"), "{message}");
    assert!(message.contains("\"tags\" is text in this index, and never a number"), "{message}");
    c.write("some.txt", "r1\nelsewhere\n");
    let listed = c.run("search i river --ids some.txt");
    assert!(String::from_utf8(listed.stderr).unwrap().contains("of 2 ids, 1 not in the index"));
    assert!(c.fails("search i river --ids nowhere.txt", 1).contains("nowhere.txt"));
}

#[test]
fn measuring_and_tuning_are_restricted_too() {
    let c = rivers();
    c.ok("index rivers.jsonl i");
    c.write("q.tsv", "q1\tthe river number 1\nq2\tthe river number 7\n");
    c.write("r.tsv", "q1\tr1\t1\nq2\tr7\t1\n");
    let eval = |condition: &str| -> Value {
        let mut command = c.command("eval i --queries q.tsv --qrels r.tsv --json --dense --where", &[]);
        let output = command.arg(condition).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let all = eval("year IS NULL OR year IS NOT NULL");
    let some = eval("year < 2015");
    for ranking in [&all, &all["exact_f32"], &all["dense"]] {
        assert_eq!(ranking["recall@100"], 1.0, "{all}");
    }
    for ranking in [&some, &some["exact_f32"], &some["dense"]] {
        assert_eq!(ranking["recall@100"], 0.5, "{some}");
    }
    let before = c.ok("info i --json");
    let tune = |k: &str, condition: &str| {
        let output = c.command("tune i --queries q.tsv -k", &[]).args([k, "--where", condition]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{message}");
        message
    };
    assert!(tune("2", "at.lang = 'de'").contains("nothing is stored"));
    assert_eq!(c.ok("info i --json"), before, "settings for a condition are not those of all searches");
    assert!(tune("4", "at.lang = 'de'").contains("k = 4: every search scores all of the 4 passages"));
    assert!(tune("2", "at.lnag IS NULL").contains("no passage has the key \"at.lnag\""));
}
