//! An index that changes while it is open: additions, replacements, deletions, merges, and what is refused.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use rayon::prelude::*;
use selvedge::build::{Arrays, from_arrays};
use selvedge::change::{self, AddOptions, Additions, CompactOptions, Retrain, delete};
use selvedge::npy::NpyWriter;
use selvedge::{
    BuildOptions, ChangeReport, Document, Engine, Error, EvalOptions, OpenOptions, Progress, Result, SearchOptions,
    Step,
};
use selvedge_index::{Check, Error as IndexError, Index, Policy, Writer, verify};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{QUESTIONS, TEXTS, build, engine, qrels, queries};

fn document(id: &str, text: &str) -> Result<Document> {
    Ok(Document { id: id.into(), text: text.into(), metadata: None })
}

fn add(path: &Path, documents: &[(&str, &str)], options: &AddOptions) -> Result<ChangeReport> {
    let documents = documents.iter().map(|&(id, text)| document(id, text));
    change::add(path, Additions::Documents(Box::new(documents)), options, &())
}

fn replacing() -> AddOptions {
    AddOptions { replace: true, ..AddOptions::default() }
}

/// Id of the best passage for a question.
fn best(engine: &Engine, question: &str) -> String {
    engine.search(question, &SearchOptions { k: 1, exact: true, ..SearchOptions::default() }).unwrap().hits[0]
        .id
        .clone()
}

/// Generation, ids and documents of the index at a path, which must be sound.
fn contents(path: &Path) -> (u32, Vec<Document>) {
    assert!(verify(path).unwrap().is_sound());
    let index = Index::open(path, Check::Checksums).unwrap();
    for pid in index.pids() {
        assert_eq!(index.pid(&index.id(pid).unwrap()).unwrap(), Some(pid));
    }
    (index.generation(), index.pids().map(|pid| index.document(pid).unwrap()).collect())
}

#[test]
fn an_engine_follows_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let path = dir.path().join("i");
    let report = add(&path, &[("cat", "A black cat sleeps on the warm stove.")], &AddOptions::default()).unwrap();
    let counts = (report.generation, report.added, report.deleted, report.passages, report.segments);
    assert_eq!(counts, (2, 1, 0, TEXTS.len() as u32 + 1, 2));
    assert_ne!(best(&engine, "a sleeping cat"), "cat", "the engine keeps its generation");
    assert_eq!(engine.refresh().unwrap(), 2);
    assert_eq!(engine.refresh().unwrap(), 2, "there is nothing newer");
    assert_eq!(best(&engine, "a sleeping cat"), "cat");

    let report = add(&path, &[("edge", "Snow falls on the hills."), ("x", "A red boat.")], &replacing()).unwrap();
    assert_eq!((report.added, report.deleted, report.passages), (2, 1, TEXTS.len() as u32 + 2));
    engine.refresh().unwrap();
    assert_eq!(best(&engine, "snow on hills"), "edge");
    let index = engine.snapshot().index().clone();
    let mut texts = index.pids().map(|pid| index.document(pid).unwrap().text);
    assert!(texts.all(|text| text != TEXTS[0].1), "the passage that was replaced is gone");

    let before = engine.snapshot();
    let report = delete(&path, &["cat", "rotate", "cat"], false).unwrap();
    assert_eq!((report.deleted, report.passages), (2, TEXTS.len() as u32));
    engine.refresh().unwrap();
    assert!(!["cat", "rotate"].contains(&best(&engine, "a sleeping cat").as_str()));
    assert_eq!(before.index().pid("cat").unwrap().map(|pid| before.index().id(pid).unwrap()), Some("cat".into()));

    let options = SearchOptions { exact: true, k: 100, ..SearchOptions::default() };
    let hits = |engine: &Engine| engine.search(QUESTIONS[1], &options).unwrap().hits;
    let ranked = |engine: &Engine| hits(engine).into_iter().map(|hit| (hit.id, hit.score)).collect::<Vec<_>>();
    let found = ranked(&engine);
    let report = change::compact(&path, &CompactOptions::default(), &()).unwrap();
    assert_eq!(report.segments, 1);
    engine.refresh().unwrap();
    assert_eq!(ranked(&engine), found, "a merge changes no ranking");
    let opened = Engine::open(&path, OpenOptions::default()).unwrap();
    assert_eq!(ranked(&opened), found);
    assert_eq!(change::compact(&path, &CompactOptions::default(), &()).unwrap().generation, report.generation);
}

#[test]
fn what_is_refused_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    build(&path, &()).unwrap();
    let before = contents(&path);
    let refused = |documents: &[(&str, &str)], options: &AddOptions| {
        let error = add(&path, documents, options).unwrap_err();
        assert_eq!(contents(&path), before, "{error}");
        error
    };
    let exists = refused(&[("new", "x"), ("edge", "y")], &AddOptions::default());
    assert!(matches!(&exists, Error::Index(IndexError::IdExists { id }) if id == "edge"), "{exists}");
    for options in [AddOptions::default(), replacing()] {
        let twice = refused(&[("new", "x"), ("new", "y")], &options);
        assert!(matches!(&twice, Error::Index(IndexError::DuplicateId { id, .. }) if id == "new"), "{twice}");
    }
    assert!(matches!(refused(&[], &AddOptions::default()), Error::NoDocuments));
    let small = AddOptions { memory_budget: 1000, ..AddOptions::default() };
    assert!(matches!(refused(&[("new", "x")], &small), Error::Budget { .. }));
    let unknown = delete(&path, &["edge", "one", "two"], false).unwrap_err();
    let expected = ["one", "two"].map(String::from);
    assert!(matches!(&unknown, Error::UnknownIds { total: 2, first } if *first == expected), "{unknown}");
    assert_eq!(contents(&path), before);
    assert_eq!(delete(&path, &["one"], true).unwrap().generation, before.0, "nothing was there to delete");
    assert!(matches!(delete(&dir.path().join("none"), &["a"], false), Err(Error::Index(IndexError::NoIndex { .. }))));

    let writer = Writer::open(&path).unwrap();
    let locked = refused(&[("new", "x")], &AddOptions::default());
    let this = format!("process {} (", std::process::id());
    assert!(
        matches!(&locked, Error::Index(IndexError::Locked { holder, .. }) if holder.starts_with(&this)),
        "{locked}"
    );
    drop(writer);
    assert_eq!(contents(&path), before);
    assert_eq!(delete(&path, &["edge", "one"], true).unwrap().deleted, 1);
}

#[test]
fn single_additions_leave_few_segments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    build(&path, &()).unwrap();
    for number in 0..20 {
        let text = format!("This is note {number} of the day.");
        let report = add(&path, &[(&format!("n{number}"), &text)], &AddOptions::default()).unwrap();
        assert!(report.segments <= 8, "{report:?}");
    }
    let (_, documents) = contents(&path);
    let ids = documents.iter().map(|document| document.id.clone());
    assert!(ids.eq(TEXTS.iter().map(|(id, _)| (*id).to_owned()).chain((0..20).map(|number| format!("n{number}")))));
    let kept = AddOptions { policy: None, ..AddOptions::default() };
    let segments: Vec<usize> =
        (0..9).map(|n| add(&path, &[(&format!("k{n}"), "A kept note.")], &kept).unwrap().segments).collect();
    assert!(segments.windows(2).all(|pair| pair[1] == pair[0] + 1), "{segments:?}");
}

#[test]
fn a_codec_is_trained_anew_from_what_is_stored_or_from_the_text() {
    for retrain in [Retrain::FromStored, Retrain::FromText] {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let path = dir.path().join("i");
        let added =
            [("cat", "A black cat sleeps on the warm stove."), ("boat", "The red boat left the harbour at dawn.")];
        let report = add(&path, &added, &AddOptions::default()).unwrap();
        assert!(report.drift.unwrap() > change::DRIFT, "the codec has a centroid for each of its few tokens");
        delete(&path, &["mail"], false).unwrap();
        let report = change::compact(&path, &CompactOptions { retrain, ..CompactOptions::default() }, &()).unwrap();
        assert_eq!((report.segments, engine.refresh().unwrap()), (1, report.generation));
        let snapshot = engine.snapshot();
        let manifest = snapshot.index().manifest();
        let drift = manifest.drift(&manifest.segments[0]).unwrap();
        assert!((drift - 1.0).abs() < 1e-6, "{drift}");
        assert_eq!(best(&engine, "a sleeping cat"), "cat");
        assert_eq!(best(&engine, QUESTIONS[0]), "edge");
        let ids: Vec<String> = snapshot.index().ids().map(Result::unwrap).collect();
        assert_eq!(ids, ["edge", "weft", "rotate", "empty", "cat", "boat"], "{retrain:?}");
        assert_eq!(contents(&path).1.len(), 6);
    }
}

#[test]
fn deleted_passages_count_in_no_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let path = dir.path().join("i");
    delete(&path, &["weft"], false).unwrap();
    let options = EvalOptions { dense: true, ..EvalOptions::default() };
    let measured = || {
        engine.refresh().unwrap();
        let report = engine.eval(&queries(&engine), &qrels(), &options, &()).unwrap();
        let recalls = [report.recall_vs_exact_10, report.recall_vs_exact_100, report.approximate_100];
        format!("{:?}", (report.quality, report.exact_f32, report.dense, recalls))
    };
    let before = measured();
    change::compact(&path, &CompactOptions::default(), &()).unwrap();
    assert_eq!(measured(), before);
}

/// Writes `count` passages of ten pseudo-random tokens as arrays.
fn arrays(folder: &Path, dim: usize, count: usize, ids: &str) -> Arrays {
    let file = |name: &str| folder.join(name);
    let arrays = Arrays { ids: Some(file("ids.txt")), ..Arrays::npy(file("e.npy"), file("l.npy")) };
    let mut npy = NpyWriter::create(&arrays.embeddings).unwrap();
    for token in 0..count * 10 {
        let row: Vec<f32> = (0..dim).map(|at| ((token * 31 + at * 17 + token * at) % 23) as f32 - 11.0).collect();
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        npy.write(&row.iter().flat_map(|x| (x / norm).to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    }
    npy.finish("<f4", &[count * 10, dim]).unwrap();
    let mut npy = NpyWriter::create(&file("l.npy")).unwrap();
    (0..count).for_each(|_| npy.write(&10i32.to_le_bytes()).unwrap());
    npy.finish("<i4", &[count]).unwrap();
    let ids: String = (0..count).map(|number| format!("{ids}{number}\n")).collect();
    std::fs::write(file("ids.txt"), ids).unwrap();
    arrays
}

/// Segments that a memory budget keeps small are never all that the policy would make of them.
#[test]
fn a_small_memory_budget_ends_the_merges() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    from_arrays(&arrays(dir.path(), 8, 100, "a"), &path, &BuildOptions::default(), &()).unwrap();
    let policy = Some(Policy { fanout: 2, floor_tokens: 1, ..change::default_policy() });
    let options = AddOptions { memory_budget: 160 << 10, policy, ..AddOptions::default() };
    for ids in ["b", "c", "d"] {
        let report = change::add(&path, Additions::Arrays(&arrays(dir.path(), 8, 500, ids)), &options, &()).unwrap();
        assert!(report.generation < 20, "{report:?}");
    }
    let index = Index::open(&path, Check::Checksums).unwrap();
    assert!(index.manifest().segments.iter().all(|segment| segment.num_tokens <= (160 << 10) / 32));
    assert_eq!(index.num_passages(), 1600);
}

/// Cancels when segments are merged.
struct NoMerge(AtomicBool);

impl Progress for NoMerge {
    fn report(&self, step: Step) {
        self.0.fetch_or(step.stage == "merge", Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn passages_are_added_even_if_the_merge_after_them_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    build(&path, &()).unwrap();
    let options =
        AddOptions { policy: Some(Policy { fanout: 2, ..change::default_policy() }), ..AddOptions::default() };
    let progress = NoMerge(AtomicBool::new(false));
    let documents = [document("cat", "A black cat sleeps.")];
    let report = change::add(&path, Additions::Documents(Box::new(documents.into_iter())), &options, &progress);
    let report = report.unwrap();
    assert!(progress.is_cancelled() && (report.generation, report.segments) == (2, 2), "{report:?}");
    assert_eq!(contents(&path).0, 2);
    assert_eq!(add(&path, &[("boat", "The red boat left.")], &options).unwrap().segments, 1, "it is tried again");
}

#[test]
fn passages_without_text_are_not_encoded_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    build(&path, &()).unwrap();
    let dim = Index::open(&path, Check::Structure).unwrap().dim();
    let options = AddOptions { policy: None, ..AddOptions::default() };
    change::add(&path, Additions::Arrays(&arrays(dir.path(), dim, 2, "row")), &options, &()).unwrap();
    delete(&path, &["empty"], true).unwrap();
    let before = contents(&path);
    let retrain = CompactOptions { retrain: Retrain::FromText, ..CompactOptions::default() };
    let error = change::compact(&path, &retrain, &()).unwrap_err();
    assert!(matches!(&error, Error::WithoutText { id, .. } if id == "row0"), "{error}");
    assert_eq!(contents(&path), before);
}

/// An engine that is open changes its index as one that is opened for each change, to the last bit.
#[test]
fn an_open_engine_changes_what_it_searches() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let engines = dirs.each_ref().map(|dir| engine(dir.path()));
    let paths = dirs.each_ref().map(|dir| dir.path().join("i"));
    let cat = [("cat", "A black cat sleeps on the warm stove."), ("boat", "The red boat left the harbour at dawn.")];
    let dog = [("cat", "The dog is not a cat."), ("bird", "A bird sings.")];
    let documents = |of: &'static [(&str, &str)]| {
        let documents = of.iter().map(|&(id, text)| document(id, text));
        Additions::Documents(Box::new(documents))
    };
    for (of, options) in [(&cat, AddOptions::default()), (&dog, replacing())] {
        let of: &'static [(&str, &str)] = of.to_vec().leak();
        let report = engines[0].add(documents(of), &options, &()).unwrap();
        assert_eq!(engines[0].snapshot().generation(), report.generation);
        assert_eq!(change::add(&paths[1], documents(of), &options, &()).unwrap(), report);
    }
    assert_eq!(best(&engines[0], "a singing bird"), "bird");
    let manifests = paths.each_ref().map(|path| Index::open(path, Check::Checksums).unwrap().manifest().clone());
    assert_eq!(manifests[0], manifests[1]);

    // An engine of an earlier generation changes the newest one.
    engines[1].add(documents(vec![("late", "The night train is late.")].leak()), &AddOptions::default(), &()).unwrap();
    assert_eq!(
        (best(&engines[1], "a singing bird"), best(&engines[1], "a late train")),
        ("bird".into(), "late".into())
    );
    assert_eq!(engines[1].delete(&["late", "bird"], false).unwrap().deleted, 2);
    assert_ne!(best(&engines[1], "a late train"), "late");

    let before = contents(&paths[1]);
    let exists = engines[1].add(documents(&[("cat", "x")]), &AddOptions::default(), &()).unwrap_err();
    assert!(matches!(&exists, Error::Index(IndexError::IdExists { id }) if id == "cat"), "{exists}");
    assert!(matches!(engines[1].delete(&["none"], false), Err(Error::UnknownIds { total: 1, .. })));
    assert_eq!(contents(&paths[1]), before);
}

/// Tasks of one pool, whose threads take up other tasks while they wait: none waits for a lock that it holds itself.
#[test]
fn changes_of_one_engine_at_a_time_are_made_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let changes: Vec<bool> = (0..24)
        .into_par_iter()
        .map(|number| {
            let one = document(&format!("note-{number}"), "A note of a task.");
            let added = engine.add(Additions::Documents(Box::new(std::iter::once(one))), &AddOptions::default(), &());
            match added {
                Ok(_) => true,
                Err(Error::Index(IndexError::Locked { .. })) => false,
                Err(error) => panic!("{error}"),
            }
        })
        .collect();
    let is_there = |number| engine.snapshot().index().pid(&format!("note-{number}")).unwrap().is_some();
    engine.refresh().unwrap();
    assert_eq!(changes, (0..24).map(is_there).collect::<Vec<_>>());
    assert!(changes.contains(&true));
    assert_eq!(contents(&dir.path().join("i")).0, engine.snapshot().generation());
}
