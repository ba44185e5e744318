//! Measuring, tuning and mining through the library.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use selvedge::build::{Arrays, from_arrays, from_documents};
use selvedge::queries::QuerySource;
use selvedge::{
    BuildOptions, Engine, Error, EvalOptions, MineOptions, Model, OpenOptions, Progress, SearchOptions, Step, Teacher,
    TuneOptions, Tuned, mine,
};
use support::{ENCODER, TEXTS, documents, engine, qrels, queries};

/// Fails at the first report: nothing may be searched or encoded.
struct Never;

impl Progress for Never {
    fn report(&self, step: Step) {
        panic!("{step:?}");
    }
}

#[test]
fn every_ranking_of_a_measurement_is_within_the_ids() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let queries = queries(&engine);
    let eval = |pids: Option<[usize; 3]>| {
        let ids = pids.map(|pids| pids.map(|pid| TEXTS[pid].0.to_owned()).into());
        let search = SearchOptions { ids, ..SearchOptions::default() };
        let options = EvalOptions { search, dense: true, ..EvalOptions::default() };
        engine.eval(&queries, &qrels(), &options, &()).unwrap()
    };
    let all = eval(None);
    assert_eq!((all.quality.recall_100, all.exact_f32.recall_100, all.dense.unwrap().recall_100), (1.0, 1.0, 1.0));
    // The answer of the second query is outside.
    let within = eval(Some([0, 1, 4]));
    let recalls = (within.quality.recall_100, within.exact_f32.recall_100, within.dense.unwrap().recall_100);
    assert_eq!(recalls, (0.5, 0.5, 0.5));
    assert_eq!((within.recall_vs_exact_100, within.approximate_100), (1.0, 1.0));
}

/// An index of arrays has an empty text for each passage, which an encoder that is named would encode.
#[test]
fn an_index_without_text_is_refused_before_the_first_search() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let options = BuildOptions { save_embeddings: Some(path("saved")), ..BuildOptions::default() };
    from_documents(documents(), &path("text"), &ENCODER, &options, &()).unwrap();
    let arrays = Arrays::new(path("saved"));
    from_arrays(&arrays, &path("i"), &BuildOptions::default(), &()).unwrap();
    let open = OpenOptions { model: Model::Named("shipped".into()), ..OpenOptions::default() };
    let engine = Engine::open(&path("i"), open).unwrap();
    let mut queries = queries(&engine);
    let given = EvalOptions { embeddings: Some(arrays), ..EvalOptions::default() };
    assert_eq!(engine.eval(&queries, &qrels(), &given, &()).unwrap().quality.recall_100, 1.0);
    for options in [EvalOptions { dense: true, ..given.clone() }, EvalOptions::default()] {
        let refused = engine.eval(&queries, &qrels(), &options, &Never);
        assert!(matches!(refused, Err(Error::NoText)), "{refused:?}");
    }
    let none = SearchOptions { k: 0, ..SearchOptions::default() };
    let refused = engine.eval(&queries, &qrels(), &EvalOptions { search: none, ..given.clone() }, &Never);
    assert!(matches!(refused, Err(Error::BadOption { option: "k", .. })), "{refused:?}");
    queries.ids.push("3".into());
    let refused = engine.eval(&queries, &qrels(), &given, &Never);
    assert!(matches!(refused, Err(Error::Count { expected: 3, found: 2, .. })), "{refused:?}");
}

#[test]
fn tuning_keeps_the_settings_of_other_numbers_of_results() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let tune = |k: &[usize]| {
        let options = TuneOptions { recall: 0.5, k: k.to_vec(), dry_run: false, ..TuneOptions::default() };
        engine.tune(&queries(&engine), &options, &()).unwrap();
    };
    let stored = || -> Vec<usize> {
        let engine = Engine::open(&dir.path().join("i"), OpenOptions::default()).unwrap();
        let stored: Vec<Tuned> =
            serde_json::from_value(engine.snapshot().index().manifest().search.clone().unwrap()).unwrap();
        stored.iter().map(|tuned| tuned.k).collect()
    };
    tune(&[3]);
    // At the same time, from what the first one stored.
    std::thread::scope(|scope| {
        scope.spawn(|| tune(&[1]));
        scope.spawn(|| tune(&[2]));
    });
    assert_eq!(stored(), [1, 2, 3]);
    let refused = engine.tune(&queries(&engine), &TuneOptions { k: vec![0], ..TuneOptions::default() }, &Never);
    assert!(matches!(refused, Err(Error::BadOption { option: "k", .. })), "{refused:?}");
}

#[test]
fn queries_are_made_of_passages() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let made = engine.queries(&QuerySource::passages()).unwrap();
    let texts = made.texts.clone().unwrap();
    // One of each passage with words, which it finds.
    let passages: Vec<_> = TEXTS.iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    assert_eq!((made.ids.len(), texts.len(), made.embeddings.len()), (passages.len(), passages.len(), passages.len()));
    for ((id, passage), (text, query)) in passages.iter().zip(texts.iter().zip(made.rows())) {
        assert!(passage.contains(text.as_str()), "{text}");
        let best = engine.search_embeddings(query, &SearchOptions { k: 1, ..SearchOptions::default() }).unwrap();
        assert_eq!(best.hits[0].id, *id);
    }
    assert_eq!(made.embeddings, engine.queries(&QuerySource::Texts(texts)).unwrap().embeddings);
    let few = engine.queries(&QuerySource::Passages { count: 2 }).unwrap();
    assert_eq!(few.ids, ["1", "2"]);
}

#[test]
fn a_report_of_mining_names_what_was_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("c")).unwrap();
    for (id, text) in TEXTS {
        std::fs::write(path("c").join(id), text).unwrap();
    }
    std::fs::write(path("c/long"), "weft and warp ".repeat(500)).unwrap();
    std::fs::write(path("c/picture"), b"\x89PNG\0\0").unwrap();
    std::fs::write(path("q.tsv"), "id\ttext\n1\twhat keeps a cloth from fraying\n2\trotated log files\n").unwrap();
    // The first answer of query 1 is not in the collection; no answer that is may become a negative.
    std::fs::write(path("a.tsv"), "1\tgone\n1\tedge\n1\tweft\n2\trotate\n").unwrap();
    let teacher = Teacher::Model { model: "shipped".into(), dense: false };
    let mut options =
        MineOptions { negatives: 2, margin: 0.0, answers: Some(path("a.tsv")), ..MineOptions::new(teacher) };
    let report = mine(&path("q.tsv"), &path("c"), &path("out.jsonl"), &options, &()).unwrap();
    assert_eq!((report.read.skipped.total, report.truncated, report.queries_had_header), (1, 1, true), "{report:?}");
    assert_eq!((report.tuples, report.unanswered, report.answers_found), (2, 0, 1.0), "{report:?}");
    let out = std::fs::read_to_string(path("out.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((&first[0], &first[1][0]), (&"1".into(), &"edge".into()));
    assert!(!out.lines().next().unwrap().contains("\"weft\""), "{out}");

    options.margin = f64::NAN;
    let refused = mine(&path("q.tsv"), &path("c"), &path("out.jsonl"), &options, &Never);
    assert!(matches!(refused, Err(Error::BadOption { option: "margin", .. })), "{refused:?}");
    options.margin = 0.0;
    let refused = mine(&path("q.tsv"), &path("c"), &path("none/out.jsonl"), &options, &Never);
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
}

/// A link to a device, so that a write beside the target would replace the link and not the device.
#[cfg(unix)]
#[test]
fn tuples_go_to_a_device_without_replacing_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("c.tsv"), TEXTS.map(|(id, text)| format!("{id}\t{text}\n")).concat()).unwrap();
    std::fs::write(path("q.tsv"), "1\trotated log files\n").unwrap();
    std::fs::write(path("s.tsv"), "1\trotate\t2\n1\tmail\t1\n").unwrap();
    std::os::unix::fs::symlink("/dev/null", path("out")).unwrap();
    let options = MineOptions { negatives: 1, ..MineOptions::new(Teacher::Scores(path("s.tsv"))) };
    assert_eq!(mine(&path("q.tsv"), &path("c.tsv"), &path("out"), &options, &()).unwrap().tuples, 1);
    assert_eq!(std::fs::read_link(path("out")).unwrap().as_os_str(), "/dev/null");
}
