//! `selvedge mine` through the binary: tuples that `train` reads, the answer first, no negative with a score near the
//! answer's; and malformed input is named.

#![allow(missing_docs)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case)
}

fn selvedge(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_selvedge")).args(args).output().expect("selvedge starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Creates a folder with `q.tsv`, `c.tsv` and `a.tsv`.
fn data() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("q.tsv", "q1\twhat keeps a cloth from fraying\nq2\twho holds the threads\nq3\tlate interaction\n");
    write(
        "c.tsv",
        "p1\tthe woven edge keeps a cloth from fraying\np2\tthe loom holds the threads\np3\tthe shuttle runs\n\
         p4\tone vector per token\np5\tweaving, line by line\np6\ta cloth\n",
    );
    write("a.tsv", "q1\tp1\nq2\tp3\t0\nq2\tp2\t1\nq3\tnowhere\n");
    dir
}

fn mine(dir: &Path, more: &[&str]) -> Output {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (queries, collection, out) = (path("q.tsv"), path("c.tsv"), path("out.jsonl"));
    let model = golden("pylate_bert");
    let mut args = vec!["mine", &out, "--queries", &queries, "--collection", &collection, "--model"];
    args.push(model.to_str().unwrap());
    args.extend_from_slice(more);
    selvedge(&args)
}

fn tuples(dir: &Path) -> Vec<(String, Vec<(String, f64)>)> {
    let text = std::fs::read_to_string(dir.join("out.jsonl")).unwrap();
    let tuple = |line: &str| {
        let line: Vec<Value> = serde_json::from_str(line).unwrap();
        let passage = |value: &Value| (value[0].as_str().unwrap().to_owned(), value[1].as_f64().unwrap());
        (line[0].as_str().unwrap().to_owned(), line[1..].iter().map(passage).collect())
    };
    text.lines().map(tuple).collect()
}

#[test]
fn a_teacher_scores_what_is_mined_and_train_reads_it() {
    let dir = data();
    let (answers, teacher) = (dir.path().join("a.tsv"), golden("stanford_bert"));
    let more = ["--answers", answers.to_str().unwrap(), "--teacher", teacher.to_str().unwrap(), "--negatives", "1"];
    let done = mine(dir.path(), &[&more[..], &["--margin", "0", "--json"]].concat());
    assert!(done.status.success(), "{}", said(&done));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["queries"], &report["unanswered"]), (&3.into(), &1.into()), "{report}");
    let found = tuples(dir.path());
    assert_eq!(report["tuples"], found.len(), "{report}");
    for (query, passages) in &found {
        assert_eq!(passages[0].0, if query == "q1" { "p1" } else { "p2" });
        assert!(passages.len() == 2 && passages[1].1 < passages[0].1, "{query}: {passages:?}");
    }
    let left: Vec<PathBuf> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 4, "the index is gone: {left:?}");

    let dense = mine(dir.path(), &["--teacher", teacher.to_str().unwrap(), "--dense", "--negatives", "2"]);
    assert!(dense.status.success(), "{}", said(&dense));
    for (query, passages) in tuples(dir.path()) {
        assert!(passages.iter().all(|(_, score)| *score <= passages[0].1), "{query}: the best answers: {passages:?}");
    }
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, queries, collection, out) = (path("out.jsonl"), path("q.tsv"), path("c.tsv"), path("trained"));
    let model = golden("pylate_bert");
    let trained = selvedge(&[
        "train",
        &out,
        "--data",
        &data,
        "--queries",
        &queries,
        "--collection",
        &collection,
        "--steps",
        "1",
        "--model",
        model.to_str().unwrap(),
    ]);
    assert!(trained.status.success(), "{}", said(&trained));
}

/// Answers may be judgments as `eval` reads them: with TREC's columns, or with BEIR's header.
#[test]
fn answers_are_judgments_in_any_format() {
    let dir = data();
    let scores = dir.path().join("s.tsv");
    std::fs::write(&scores, "q1\tp1\t10\nq1\tp2\t1\nq2\tp2\t3\nq2\tp1\t1\n").unwrap();
    let mined = |answers: &str| {
        std::fs::write(dir.path().join("a.tsv"), answers).unwrap();
        let (answers, scores) = (dir.path().join("a.tsv"), dir.path().join("s.tsv"));
        let more = ["--answers", answers.to_str().unwrap(), "--scores", scores.to_str().unwrap(), "--negatives", "1"];
        let done = mine(dir.path(), &more);
        assert!(done.status.success(), "{}", said(&done));
        tuples(dir.path())
    };
    let pairs = mined("q1\tp1\nq2\tp2\n");
    assert_eq!(
        pairs.iter().map(|(query, found)| (query.as_str(), found[0].0.as_str())).collect::<Vec<_>>(),
        [("q1", "p1"), ("q2", "p2")]
    );
    assert_eq!(mined("q1 0 p3 0\nq1 0 p1 2\nq2 0 p2 1\n"), pairs);
    assert_eq!(mined("query-id\tcorpus-id\tscore\nq1\tp1\t1\nq2\tp2\t1\n"), pairs);
}

/// Passages p4 and p5 score as high or nearly as high as the answer of q1, so they are no negatives. Passages without
/// a score are no negatives either.
#[test]
fn what_scores_near_the_answer_is_dropped() {
    let dir = data();
    let scores = dir.path().join("s.tsv");
    std::fs::write(&scores, "q1\tp1\t10\nq1\tp2\t1\nq1\tp3\t0\nq1\tp4\t11\nq1\tp5\t9.5\nq2\tp2\t3\nq2\tp1\t1\n")
        .unwrap();
    let answers = dir.path().join("a.tsv");
    let more = ["--answers", answers.to_str().unwrap(), "--scores", scores.to_str().unwrap(), "--negatives", "2"];
    let done = mine(dir.path(), &[&more[..], &["--json"]].concat());
    assert!(done.status.success(), "{}", said(&done));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["dropped"], &report["few_negatives"]), (&2.into(), &1.into()), "{report}");
    let found = tuples(dir.path());
    assert_eq!(found.len(), 1, "{found:?}");
    let mut negatives = found[0].1[1..].to_vec();
    negatives.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        (&found[0].1[0], negatives.as_slice()),
        (&("p1".into(), 10.0), &[("p2".into(), 1.0), ("p3".into(), 0.0)][..])
    );
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_left() {
    let dir = data();
    let bad = dir.path().join("bad.tsv");
    for (text, flag, reason) in [
        ("q1\tp1\nq1\n", "--answers", "line 2: expected query and passage, and perhaps a grade, found 1 columns"),
        ("q1\tp1\tgood\n", "--answers", "line 1: the grade \"good\" is not a number"),
        ("q1\tp1\t0.5\n", "--answers", "line 1: the grade 0.5 is not a whole number"),
        ("q1\tp1\tNaN\n", "--scores", "line 1: \"NaN\" is no score"),
        ("q1\tp1\n", "--scores", "line 1: expected query<TAB>passage<TAB>score"),
        ("\n", "--scores", "bad.tsv: holds no score"),
        ("\n", "--answers", "bad.tsv: holds no judgment"),
    ] {
        std::fs::write(&bad, text).unwrap();
        let teacher = golden("stanford_bert");
        let teacher = ["--teacher", teacher.to_str().unwrap()];
        let bad = [flag, bad.to_str().unwrap()];
        let refused = mine(dir.path(), &if flag == "--scores" { bad.to_vec() } else { [bad, teacher].concat() });
        assert!(!refused.status.success() && said(&refused).contains(reason), "{text:?}: {}", said(&refused));
        assert!(!dir.path().join("out.jsonl").exists());
    }
    let neither = mine(dir.path(), &[]);
    assert!(said(&neither).contains("--teacher") && neither.status.code() == Some(2), "{}", said(&neither));
}
