//! Every long operation reports its stages, stops in whichever of them it is asked to, and leaves no file.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use selvedge::{Error, EvalOptions, Index, MineOptions, Progress, Result, Step, Teacher, TuneOptions, mine};
use selvedge_index::Check;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{TEXTS, build, engine, qrels, queries};

/// Records stages; asks to stop from the first step of stage `stop` on.
#[derive(Default)]
struct Watch {
    stages: Mutex<Vec<&'static str>>,
    stop: Option<&'static str>,
    is_stopped: AtomicBool,
}

impl Progress for Watch {
    fn report(&self, step: Step) {
        let mut stages = self.stages.lock().unwrap();
        if stages.last() != Some(&step.stage) {
            stages.push(step.stage);
        }
        assert!(step.total.is_none_or(|total| step.done <= total), "{step:?}");
        if self.stop == Some(step.stage) && step.done > 0 {
            self.is_stopped.store(true, Ordering::Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

/// Runs an operation to its end, which has the stages `expected`, and then stops it in each of them.
fn stops_in_every_stage<T: std::fmt::Debug>(expected: &[&'static str], mut run: impl FnMut(&Watch) -> Result<T>) {
    let whole = Watch::default();
    run(&whole).unwrap();
    assert_eq!(*whole.stages.lock().unwrap(), expected);
    for (number, &stage) in expected.iter().enumerate() {
        let watch = Watch { stop: Some(stage), ..Watch::default() };
        let stopped = run(&watch);
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stage}: {stopped:?}");
        assert_eq!(*watch.stages.lock().unwrap(), expected[..=number], "{stage}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_build_stops_in_every_stage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    stops_in_every_stage(&["read", "encode", "k-means", "index"], |watch| {
        assert!(!path.exists() || std::fs::remove_dir_all(&path).is_ok());
        let built = build(&path, watch);
        assert_eq!(names(dir.path()).len(), usize::from(built.is_ok()));
        built
    });
}

#[test]
fn a_measurement_stops_in_every_stage() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let (queries, options) = (queries(&engine), EvalOptions { dense: true, ..EvalOptions::default() });
    let stages = ["search", "latency", "exhaustive search", "ground truth", "dense"];
    stops_in_every_stage(&stages, |watch| engine.eval(&queries, &qrels(), &options, watch));
}

#[test]
fn tuning_stops_in_every_stage_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let options = TuneOptions { recall: 0.5, k: vec![2], dry_run: false, ..TuneOptions::default() };
    let stages = ["exhaustive search", "choose settings", "time settings"];
    let stored = || Index::open(&dir.path().join("i"), Check::Structure).unwrap().manifest().search.clone();
    stops_in_every_stage(&stages, |watch| {
        let before = stored();
        let tuned = engine.tune(&queries(&engine), &options, watch);
        assert!(tuned.is_ok() || stored() == before);
        tuned
    });
}

#[test]
fn mining_stops_in_every_stage_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let passages = TEXTS.map(|(id, text)| format!("{id}\t{text}\n")).concat();
    std::fs::write(path("c.tsv"), passages).unwrap();
    std::fs::write(path("q.tsv"), "1\twhat keeps a cloth from fraying\n2\trotated log files\n").unwrap();
    std::fs::write(path("s.tsv"), "1\tedge\t2\n1\tmail\t1\n").unwrap();
    let model = Teacher::Model { model: "shipped".into(), dense: false };
    for (teacher, asked) in
        [(model, &["teacher's queries", "teacher"][..]), (Teacher::Scores(path("s.tsv")), &["scores"])]
    {
        let stages = [&["read", "encode", "k-means", "index", "search"], asked, &["write"]].concat();
        let options = MineOptions { negatives: 1, ..MineOptions::new(teacher) };
        stops_in_every_stage(&stages, |watch| {
            let mined = mine(&path("q.tsv"), &path("c.tsv"), &path("out.jsonl"), &options, watch);
            let left = if mined.is_ok() {
                vec!["c.tsv", "out.jsonl", "q.tsv", "s.tsv"]
            } else {
                vec!["c.tsv", "q.tsv", "s.tsv"]
            };
            assert_eq!(names(dir.path()), left);
            let _ = std::fs::remove_file(path("out.jsonl"));
            mined
        });
    }
}
