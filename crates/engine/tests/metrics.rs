//! Our measures against trec_eval's, query by query, on stored rankings and judgments: `tests/golden/metrics.py` says
//! how these were made.

#![allow(missing_docs)]

use selvedge::metrics::Quality;
use selvedge::qrels::Qrels;
use selvedge::trec;
use std::path::PathBuf;

/// Stored cases.
const CASES: [&str; 4] = ["cranfield", "cacm", "debian", "odd"];
/// Queries of `odd` that the stored run with ties has.
const TIED: usize = 12;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/metrics").join(name)
}

fn lines(name: &str) -> Vec<String> {
    std::fs::read_to_string(path(name)).unwrap().lines().map(str::to_owned).collect()
}

/// Each query's id and passages, best first.
fn run(case: &str) -> Vec<(String, Vec<String>)> {
    let parse = |line: &String| {
        let (query, ids) = line.split_once('\t').unwrap();
        (query.to_owned(), ids.split_whitespace().map(str::to_owned).collect())
    };
    lines(&format!("{case}.run")).iter().map(parse).collect()
}

/// Expected values of each query and, last, of "all".
fn expected(case: &str) -> Vec<(String, Vec<f64>)> {
    let parse = |line: &String| {
        let mut columns = line.split('\t');
        let query = columns.next().unwrap().to_owned();
        (query, columns.map(|value| value.parse().unwrap()).collect())
    };
    let lines = lines(&format!("{case}.expected"));
    assert_eq!(lines[0], "query\tndcg_cut_10\trecip_rank\trecall_100\tmap\tsuccess_1\tsuccess_5\tsuccess_10");
    lines[1..].iter().map(parse).collect()
}

fn assert_near(found: &Quality, expected: &[f64], name: &str) {
    let Quality { ndcg_10, mrr_10, recall_100, map, success_1, success_5, success_10 } = *found;
    let found = [ndcg_10, mrr_10, recall_100, map, success_1, success_5, success_10];
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near && found.len() == expected.len(), "{name}: {found:?}, expected {expected:?}");
}

/// Compares the rankings of the queries of a case, each of which trec_eval has a line for if it is judged.
fn compare(case: &str, qrels: &Qrels, run: &[(String, Vec<String>)]) {
    let mut expected = expected(case);
    let (all, mean) = expected.pop().unwrap();
    assert_eq!(all, "all");
    let judged = run.iter().filter_map(|(query, ranking)| Some((query, Quality::of(ranking, qrels.of_query(query)?))));
    let judged: Vec<(&String, Quality)> = judged.collect();
    assert_eq!(judged.len(), expected.len(), "{case}");
    for ((query, found), (name, expected)) in judged.iter().zip(&expected) {
        assert_eq!(*query, name);
        assert_near(found, expected, &format!("{case}, {query}"));
    }
    let (queries, rankings): (Vec<String>, Vec<Vec<String>>) = run.iter().cloned().unzip();
    assert_eq!(qrels.num_judged(&queries), expected.len(), "{case}");
    assert_near(&qrels.quality(&queries, &rankings), &mean, case);
}

#[test]
fn every_measure_is_that_of_trec_eval() {
    for case in CASES {
        compare(case, &Qrels::read(&path(&format!("{case}.qrels"))).unwrap(), &run(case));
    }
}

/// Each unusual case occurs, so that the comparison covers more than usual rankings.
#[test]
fn the_odd_case_is_odd() {
    let (qrels, run) = (Qrels::read(&path("odd.qrels")).unwrap(), run("odd"));
    let depths: Vec<usize> = run.iter().map(|(_, ranking)| ranking.len()).collect();
    assert!(depths.contains(&0) && depths.contains(&9) && depths.iter().any(|&depth| depth > 100), "{depths:?}");
    let grades: Vec<_> = run.iter().filter_map(|(query, _)| qrels.of_query(query)).collect();
    assert!(grades.len() < run.len(), "a query is not judged");
    assert!(grades.iter().any(|grades| grades.values().all(|&grade| grade <= 0)), "a query is judged 0 only");
    assert!(grades.iter().any(|grades| grades.values().any(|&grade| grade < 0)), "a grade is negative");
    assert!(grades.iter().any(|grades| grades.values().filter(|&&grade| grade > 0).count() > 10), "many are relevant");
    assert!(grades.iter().any(|grades| grades.iter().any(|(id, &grade)| id.starts_with("outside") && grade > 0)));
    assert!(qrels.of_query("not asked").is_some() && run.iter().all(|(query, _)| query != "not asked"));
}

/// trec_eval sorted the stored run by score and id. Seven passages share each score, and its values are still the
/// values of our order.
#[test]
fn a_run_with_ties_keeps_its_order_in_trec_eval() {
    let stored = lines("ties.trec");
    let run: Vec<_> = run("odd").into_iter().take(TIED).collect();
    let mut printed = Vec::new();
    for (query, ranking) in &run {
        let scores = (0..ranking.len()).map(|place| (30 - (place / 7) as i32) as f32);
        let block = trec::lines(query, ranking.iter().zip(scores)).unwrap();
        printed.extend(block.lines().map(str::to_owned));
    }
    let parse = |line: &String| {
        let columns: Vec<&str> = line.split(' ').collect();
        let [query, "Q0", passage, rank, score, "selvedge"] = columns[..] else { panic!("{line}") };
        (query.to_owned(), passage.to_owned(), rank.parse::<usize>().unwrap(), score.parse::<f64>().unwrap())
    };
    assert_eq!(printed.iter().map(parse).collect::<Vec<_>>(), stored.iter().map(parse).collect::<Vec<_>>());
    compare("ties", &Qrels::read(&path("odd.qrels")).unwrap(), &run);
}
