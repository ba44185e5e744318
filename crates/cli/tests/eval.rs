//! Queries and judgments through the binary: common formats, and files that do not fit each other.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use support::Collection;

/// Creates a folder with a collection, its index `i`, and the given files of queries and judgments.
fn collection(files: &[(&str, &str)]) -> Collection {
    let c = Collection::new();
    for folder in ["notes", "beir", "beir/qrels"] {
        std::fs::create_dir(c.path(folder)).unwrap();
    }
    c.write("notes/my cat.txt", "the cat sat on the mat");
    c.write("notes/dogs.txt", "dogs run in the park");
    c.write("notes/query notes.txt", "a query is answered from bytes");
    files.iter().for_each(|(name, text)| drop(c.write(name, text)));
    c.ok("index notes i");
    c
}

fn report(c: &Collection, files: &str) -> Value {
    serde_json::from_str(&c.ok(&format!("eval i {files} --json"))).unwrap()
}

const QUERIES: &str = "q1\tcat on a mat\nq2\tdogs\n";

#[test]
fn ids_with_spaces_and_folders_of_beir() {
    let c = collection(&[
        ("q.tsv", QUERIES),
        ("r.tsv", "q1\tmy cat.txt\t1\nq2\tdogs.txt\t1\n"),
        (
            "beir/queries.jsonl",
            "{\"_id\": \"q1\", \"text\": \"cat on a mat\"}\n{\"_id\": \"q2\", \"text\": \"dogs\"}\n",
        ),
        ("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\tmy cat.txt\t1\nq2\tdogs.txt\t1\n"),
    ]);
    for files in
        ["--queries q.tsv --qrels r.tsv", "--queries beir --qrels beir", "--queries beir/queries.jsonl --qrels r.tsv"]
    {
        let report = report(&c, files);
        for measure in ["ndcg@10", "mrr@10", "recall@100", "map", "success@1", "success@5", "success@10"] {
            assert_eq!(
                (&report[measure], &report["exact_f32"][measure]),
                (&1.0.into(), &1.0.into()),
                "{files}: {report}"
            );
        }
        assert_eq!((&report["judged_queries"], &report["judgments_not_indexed"]), (&2.into(), &0.into()), "{report}");
    }
    let said = c.ok("eval i --queries q.tsv --qrels r.tsv");
    assert!(said.contains("success@10") && said.contains("MAP"), "{said}");
}

#[test]
fn queries_judged_zero_only_count_as_zero() {
    let c = collection(&[("q.tsv", QUERIES), ("r.tsv", "q1 dogs.txt 0\nq2 dogs.txt 1\n")]);
    let report = report(&c, "--queries q.tsv --qrels r.tsv");
    assert_eq!((&report["judged_queries"], &report["ndcg@10"]), (&2.into(), &0.5.into()), "{report}");
}

#[test]
fn judgments_that_do_not_fit_are_said() {
    let c = collection(&[
        ("q.tsv", QUERIES),
        ("of-others.tsv", "PLAIN-1\tdogs.txt\t1\n"),
        ("gone.tsv", "q1\tgone.txt\t1\nq2\tlost.txt\t1\n"),
        ("half.tsv", "q1\tgone.txt\t1\nq1\tdogs.txt\t0\nq2\tdogs.txt\t1\n"),
        ("fractions.tsv", "q1\tdogs.txt\t1\nq2\tdogs.txt\t0.5\n"),
        ("empty.tsv", "\n"),
    ]);
    let eval = |qrels: &str| format!("eval i --queries q.tsv --qrels {qrels}");
    let refused = c.fails(&eval("of-others.tsv"), 1);
    for part in ["of-others.tsv", "q.tsv", "\"PLAIN-1\"", "\"q1\""] {
        assert!(refused.contains(part), "{refused}");
    }
    let refused = c.fails(&eval("gone.tsv"), 1);
    assert!(refused.contains("gone.tsv: none of the 2 judged passages is in the index"), "{refused}");
    assert!(refused.contains("\"gone.txt\"") && refused.contains("\"dogs.txt\""), "{refused}");
    assert!(c.fails(&eval("fractions.tsv"), 1).contains("fractions.tsv, line 2: the grade 0.5 is not a whole number"));
    assert!(c.fails(&eval("empty.tsv"), 1).contains("empty.tsv: holds no judgment"));
    let half = c.run(&eval("half.tsv"));
    let said = String::from_utf8_lossy(&half.stderr);
    assert!(half.status.success(), "{said}");
    assert!(said.contains("the passage of 1 of 3 judgments is not in the index, such as \"gone.txt\""), "{said}");
}

#[test]
fn files_of_queries_that_are_no_queries() {
    let c = collection(&[
        ("none.tsv", "\n"),
        ("twice.tsv", "q1\tcat\nq2\tdogs\nq1\tother\n"),
        ("r.tsv", "q1\tdogs.txt\t1\n"),
    ]);
    for command in ["search i", "eval i --qrels r.tsv", "tune i"] {
        let refused = c.fails(&format!("{command} --queries none.tsv"), 1);
        assert!(refused.contains("none.tsv: holds no query"), "{command}: {refused}");
        let refused = c.fails(&format!("{command} --queries twice.tsv"), 1);
        assert!(refused.contains("twice.tsv, line 3: the id \"q1\" is used twice"), "{command}: {refused}");
    }
}

#[test]
fn a_run_is_printed_in_our_order_or_not_at_all() {
    let c = Collection::new();
    c.index("i", "");
    let queries = "--query-embeddings queries.npy --queries queries.tsv";
    assert_eq!(c.ok(&format!("search i {queries} -k 20 --trec run.txt")), "");
    let run = std::fs::read_to_string(c.path("run.txt")).unwrap();
    let columns: Vec<Vec<&str>> = run.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(c.ok(&format!("search i {queries} -k 20 --trec -")), run);
    c.nothing_made("-");
    let found = c.ok(&format!("search i {queries} -k 20 --json"));
    let mut at = 0;
    for line in found.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut last = f32::INFINITY;
        for (rank, result) in (1..).zip(line["results"].as_array().unwrap()) {
            let [query, "Q0", passage, place, score, "selvedge"] = columns[at][..] else { panic!("{:?}", columns[at]) };
            assert_eq!((&line["query_id"], &result["id"]), (&query.into(), &passage.into()));
            assert_eq!(place, rank.to_string());
            let score = score.parse::<f64>().unwrap() as f32;
            assert!(score < last, "{:?}", columns[at]);
            (last, at) = (score, at + 1);
        }
    }
    assert_eq!(at, columns.len());

    let c = collection(&[("q.tsv", QUERIES)]);
    let refused = c.fails("search i --queries q.tsv --trec run.txt", 1);
    assert!(refused.contains("\"my cat.txt\""), "{refused}");
    assert!(!c.path("run.txt").exists());
    assert!(c.fails("search i --queries q.tsv --trec run.txt --json", 2).contains("--json"));
    // A place that cannot be written is found before the queries are read.
    let refused = c.fails("search i --queries none.tsv --trec none/run.txt", 1);
    assert!(refused.contains("none/run.txt: the folder none does not exist; create it first"), "{refused}");
    assert!(!refused.contains(".partial"), "{refused}");
}

/// A link to a device, so that a write beside the target would replace the link and not the device.
#[cfg(unix)]
#[test]
fn a_run_goes_to_a_device_without_replacing_it() {
    let c = Collection::new();
    c.index("i", "");
    std::os::unix::fs::symlink("/dev/null", c.path("run")).unwrap();
    let search = "search i --query-embeddings queries.npy --trec";
    c.ok(&format!("{search} run"));
    assert_eq!(std::fs::read_link(c.path("run")).unwrap().as_os_str(), "/dev/null");
    assert!(c.ok(&format!("{search} -")).starts_with("0 Q0 passage-0 1 "));
}

#[test]
fn a_header_of_queries_is_reported() {
    let c = collection(&[("q.tsv", &format!("id\ttext\n{QUERIES}")), ("r.tsv", "q1\tdogs.txt\t1\n")]);
    for command in ["search i", "eval i --qrels r.tsv", "tune i"] {
        let said = c.run(&format!("{command} --queries q.tsv"));
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(said.contains("skipped line 1, which names the columns"), "{command}: {said}");
    }
}

#[test]
fn a_small_index_is_tuned_where_there_is_something_to_tune() {
    let c = Collection::of(8, 40, 4);
    c.index("i", "");
    let tune = |more: &str| c.run(&format!("tune i --query-embeddings queries.npy --json {more}"));
    let both = tune("");
    let said = String::from_utf8_lossy(&both.stderr);
    assert!(both.status.success(), "{said}");
    assert!(said.contains("k = 100: every search scores all of the 40 passages"), "{said}");
    let best: Value = serde_json::from_slice(&both.stdout).unwrap();
    assert!(best.as_array().unwrap().len() == 1 && best[0]["k"] == 10, "{best}");
    let shown: Value = serde_json::from_str(&c.ok("info i --json")).unwrap();
    assert_eq!(shown["search"][0]["nfull"], best[0]["nfull"], "{shown}");
    assert!(c.ok("info i").contains("\nsearch\n  k 10 "), "{}", c.ok("info i"));
    let whole = tune("-k 20000");
    assert!(whole.status.success() && whole.stdout == b"[]\n", "{:?}", whole.stdout);
    assert!(c.fails("tune i --query-embeddings queries.npy -k 0", 2).contains("at least 1"));
    let made = c.run("tune i --json");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(said.contains("tuned for parts of 39 passages"), "{said}");
    let best: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(best[0]["queries"], 39, "{best}");
    // No folder can be locked in which a folder has the name of the lock. That is found before the queries are read.
    std::fs::create_dir(c.path("i/.selvedge.lock")).unwrap();
    assert!(c.fails("tune i --query-embeddings none.npy", 1).contains(".selvedge.lock"));
    assert!(c.fails("tune i --query-embeddings none.npy --dry-run", 1).contains("none.npy"));
}
