//! The library as a program embeds it: documents in memory, questions from many threads, progress, cancelling.

#![allow(missing_docs)]

use selvedge::build::from_documents;
use selvedge::{
    BuildOptions, BuildReport, Document, Encoder, Engine, Error, LoadOptions, OpenOptions, Progress, Result,
    SearchOptions, Step, Subset,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

static ENCODER: LazyLock<Encoder> =
    LazyLock::new(|| Encoder::load("shipped", &LoadOptions::default()).expect("it is in the crate"));

const TEXTS: [(&str, &str); 5] = [
    ("edge", "A selvedge is the woven edge that keeps a cloth from fraying."),
    ("weft", "The weft is drawn over and under the warp."),
    ("rotate", "Old log files are compressed and rotated every night."),
    ("empty", ""),
    ("mail", "The mail server delivers messages to the mailboxes of its users."),
];

fn documents() -> impl Iterator<Item = Result<Document>> {
    TEXTS.into_iter().enumerate().map(|(number, (id, text))| {
        let metadata = (number == 0).then(|| serde_json::json!({"chapter": 3}));
        Ok(Document { id: id.into(), text: text.into(), metadata })
    })
}

fn build(path: &Path, progress: &dyn Progress) -> Result<BuildReport> {
    from_documents(documents(), path, &ENCODER, &BuildOptions { nbits: 4, ..BuildOptions::default() }, progress)
}

fn engine(dir: &Path) -> Engine {
    let path = dir.join("i");
    build(&path, &()).unwrap();
    Engine::open(&path, OpenOptions { load_model: true, ..OpenOptions::default() }).unwrap()
}

#[test]
fn hits_carry_as_much_as_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let found = |options: &SearchOptions| engine.search("what keeps a cloth from fraying", options).unwrap().hits;
    let bare = &found(&SearchOptions::default())[0];
    assert_eq!((bare.id.as_str(), bare.pid), ("edge", 0));
    assert!(bare.text.is_none() && bare.metadata.is_none() && bare.snippet.is_none());
    let all = SearchOptions { k: 2, text: true, metadata: true, snippet: Some(30), ..SearchOptions::default() };
    let hits = found(&all);
    assert_eq!((hits.len(), hits[0].text.as_deref()), (2, Some(TEXTS[0].1)));
    assert_eq!(hits[0].metadata, Some(serde_json::json!({"chapter": 3})));
    assert!(hits[0].snippet.as_ref().unwrap().text.contains("fraying"), "{:?}", hits[0].snippet);
    assert_eq!(hits[1].metadata, None);
    // The passage without a token is never found.
    assert_eq!(found(&SearchOptions { k: 100, exact: true, ..SearchOptions::default() }).len(), TEXTS.len() - 1);
}

#[test]
fn a_text_is_its_embeddings_alone_in_a_batch_and_in_a_subset() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let options = SearchOptions::default();
    let questions = ["rotated log files", "mail", ""];
    let batch = engine.search_batch(&questions, &options).unwrap();
    for (question, of_batch) in questions.iter().zip(&batch) {
        let alone = engine.search(question, &options).unwrap();
        let query = engine.encoder().unwrap().encode_queries(&[question]).unwrap();
        let embedded = engine.search_embeddings(&query.data, &options).unwrap();
        assert_eq!(alone.hits, of_batch.hits);
        assert_eq!(alone.hits, embedded.hits);
    }
    assert_eq!((batch[0].hits[0].id.as_str(), batch[1].hits[0].id.as_str()), ("rotate", "mail"));
    assert!(batch[2].hits.is_empty());
    let subset = Arc::new(Subset::new(vec![1, 4], TEXTS.len()).unwrap());
    let within = SearchOptions { subset: Some(subset), ..SearchOptions::default() };
    let ids: Vec<_> = engine.search("rotated log files", &within).unwrap().hits.into_iter().map(|h| h.id).collect();
    assert!(ids.len() == 2 && !ids.contains(&"rotate".to_owned()), "{ids:?}");
}

#[test]
fn many_threads_ask_one_engine_on_a_pool_of_their_own() {
    fn shared<T: Send + Sync>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    shared(&engine);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let options = SearchOptions::default();
    let alone = engine.search("woven edge", &options).unwrap().hits;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let hits = pool.install(|| engine.search("woven edge", &options)).unwrap().hits;
                    assert_eq!(hits, alone);
                }
            });
        }
    });
}

/// Records stages; asks to stop at the `n`-th report.
struct Watch {
    stages: Mutex<Vec<&'static str>>,
    reports: AtomicU64,
    most: u64,
}

impl Progress for Watch {
    fn report(&self, step: Step) {
        let mut stages = self.stages.lock().unwrap();
        if stages.last() != Some(&step.stage) {
            stages.push(step.stage);
        }
        assert!(step.total.is_none_or(|total| step.done <= total), "{step:?}");
        self.reports.fetch_add(1, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.reports.load(Ordering::Relaxed) >= self.most
    }
}

#[test]
fn a_build_reports_its_stages_and_stops_wherever_it_is_asked_to() {
    let watch = |most| Watch { stages: Mutex::default(), reports: AtomicU64::new(0), most };
    let dir = tempfile::tempdir().unwrap();
    let whole = watch(u64::MAX);
    build(&dir.path().join("whole"), &whole).unwrap();
    assert_eq!(*whole.stages.lock().unwrap(), ["encode", "k-means", "index"]);
    for most in 1..=3 {
        let path = dir.path().join("stopped");
        assert!(matches!(build(&path, &watch(most)), Err(Error::Cancelled)), "{most}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["whole"], "{most}");
    }
}

#[test]
fn failures_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    assert!(matches!(Engine::open(&path, OpenOptions::default()), Err(Error::Index(_))));
    let none = from_documents(std::iter::empty(), &path, &ENCODER, &BuildOptions::default(), &());
    assert!(matches!(none, Err(Error::EmptyCollection { .. })), "{none:?}");
    build(&path, &()).unwrap();
    assert!(matches!(build(&path, &()), Err(Error::Index(_))));
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    assert!(matches!(engine.search_embeddings(&[1.0; 3], &SearchOptions::default()), Err(Error::Search(_))));
}
