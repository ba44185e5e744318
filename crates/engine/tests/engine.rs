//! The library as a program embeds it: documents in memory, queries from many threads, bad input.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use selvedge::build::from_documents;
use selvedge::{BuildOptions, Engine, Error, OpenOptions, SearchOptions};
use support::{ENCODER, TEXTS, build, engine};

#[test]
fn hits_carry_as_much_as_is_requested() {
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
fn a_text_is_its_embeddings_alone_in_a_batch_and_among_ids() {
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
    let listed = [TEXTS[1].0, "none", TEXTS[4].0].map(str::to_owned);
    let within = SearchOptions { ids: Some(listed.into()), ..SearchOptions::default() };
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

#[test]
fn numbers_that_make_no_sense_are_refused_before_the_search() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let none = SearchOptions { k: 0, ..SearchOptions::default() };
    let no_cell = SearchOptions { nprobe: Some(0), ..SearchOptions::default() };
    let no_candidate = SearchOptions { ndocs: Some(0), ..SearchOptions::default() };
    let no_score = SearchOptions { num_rescored: Some(0), ..SearchOptions::default() };
    for (options, name) in [(none, "k"), (no_cell, "nprobe"), (no_candidate, "ndocs"), (no_score, "num_rescored")] {
        let refused = [
            engine.search("cloth", &options).map(|_| ()),
            engine.search_batch(&["cloth"], &options).map(|_| ()),
            engine.search_embeddings(&[], &options).map(|_| ()),
            engine.search_embeddings_batch(&[], &options).map(|_| ()),
        ];
        for refused in refused {
            assert!(matches!(&refused, Err(Error::BadOption { option, .. }) if *option == name), "{name}: {refused:?}");
        }
    }
}

#[test]
fn failures_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    assert!(matches!(Engine::open(&path, OpenOptions::default()), Err(Error::Index(_))));
    let none = from_documents(std::iter::empty(), &path, &ENCODER, &BuildOptions::default(), &());
    assert!(matches!(none, Err(Error::NoDocuments)), "{none:?}");
    build(&path, &()).unwrap();
    assert!(matches!(build(&path, &()), Err(Error::Index(_))));
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    assert!(matches!(engine.search_embeddings(&[1.0; 3], &SearchOptions::default()), Err(Error::Search(_))));
}

#[test]
fn an_explanation_sums_to_the_score_and_names_the_words() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let question = "what keeps a cloth from fraying";
    let options = SearchOptions { k: 3, text: true, explain: true, ..SearchOptions::default() };
    let hits = engine.search(question, &options).unwrap().hits;
    assert_eq!(hits, engine.search_batch(&[question], &options).unwrap()[0].hits);
    for hit in &hits {
        let why = hit.explanation.as_ref().unwrap();
        assert_eq!(why.score, hit.score);
        let sum: f32 = why.matches.iter().map(|found| found.part).sum();
        assert!((sum - hit.score).abs() < 1e-4 * hit.score.abs(), "{sum} {}", hit.score);
        let (q, t) = (why.query.len(), why.passage.len());
        assert_eq!((why.matches.len(), why.similarities.len()), (q, q));
        assert!(why.similarities.iter().all(|row| row.len() == t));
        for (row, found) in why.similarities.iter().zip(&why.matches) {
            assert_eq!(row[found.passage_token], found.similarity);
            assert!(row.iter().all(|&similarity| similarity <= found.similarity));
        }
    }
    let (text, why) = (hits[0].text.as_ref().unwrap(), hits[0].explanation.as_ref().unwrap());
    let word = |start: usize, end: usize| text.chars().take(end).skip(start).collect::<String>();
    let words: Vec<String> = why.words.iter().map(|found| word(found.start, found.end)).collect();
    assert!(words.contains(&"fraying".to_owned()), "{words:?}");
    let of_words: f32 = why.words.iter().map(|word| word.part).sum();
    assert!(of_words > 0.0 && of_words <= why.score * 1.0001);
    // A query by embeddings has no tokens; and words alone have no embeddings.
    let query = engine.encoder().unwrap().encode_queries(&[question]).unwrap();
    let embedded = engine.search_embeddings(&query.data, &options).unwrap().hits;
    let bare = embedded[0].explanation.as_ref().unwrap();
    assert_eq!((bare.query.len(), &bare.words, &bare.similarities), (0, &why.words, &why.similarities));
    let lexical = SearchOptions { rank_by: selvedge::RankBy::Lexical, ..options };
    assert!(engine.search("cloth", &lexical).unwrap().hits.iter().all(|hit| hit.explanation.is_none()));
}

#[test]
fn documents_with_embeddings_are_indexed_from_memory() {
    use selvedge::{AddOptions, Additions, Document, EmbeddedDocument, build::from_embedded};
    let row = |at: usize| (0..16).map(|d| if d == at % 16 { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    let document = |id: usize, rows: Vec<f32>| EmbeddedDocument {
        document: Document { id: id.to_string(), text: String::new(), metadata: Some(serde_json::json!({"n": id})) },
        embeddings: rows,
    };
    let documents: Vec<_> = (0..20).map(|id| document(id, [row(id), row(id + 1)].concat())).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let refused = |documents: &[EmbeddedDocument]| {
        let documents = documents.iter().cloned().map(Ok);
        let error = from_embedded(16, documents, &path, &BuildOptions::default(), &()).unwrap_err();
        assert!(!path.exists());
        error.to_string()
    };
    assert!(refused(&[document(7, vec![1.0; 17])]).contains("document \"7\""));
    assert!(refused(&[document(7, vec![f32::NAN; 16])]).contains("component 0 of row 0 is NaN"));
    assert!(refused(&[]).contains("no document"), "{}", refused(&[]));
    let options = BuildOptions { language: None, ..BuildOptions::default() };
    from_embedded(16, documents.into_iter().map(Ok), &path, &options, &()).unwrap();
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    let options = SearchOptions { k: 1, metadata: true, ..SearchOptions::default() };
    let best = |at: usize| engine.search_embeddings(&[row(at), row(at + 1)].concat(), &options).unwrap().hits.remove(0);
    assert_eq!((best(3).id.as_str(), best(3).metadata), ("3", Some(serde_json::json!({"n": 3}))));
    // Replaced by another of its id, and a new one without a token.
    let mut more = [document(3, row(9)), document(99, Vec::new())];
    more[0].document.text = "a text beside its embeddings".to_owned();
    let replace = AddOptions { replace: true, ..AddOptions::default() };
    let report = engine.add(Additions::Embedded(Box::new(more.into_iter().map(Ok))), &replace, &()).unwrap();
    assert_eq!((report.added, report.deleted, report.passages), (2, 1, 21));
    assert_ne!(best(3).id, "3");
    // Its text is shown, cut where the part of a search is to be short; other passages have none.
    let options = SearchOptions { k: 30, text: true, snippet: Some(6), ..SearchOptions::default() };
    for hit in engine.search_embeddings(&row(9), &options).unwrap().hits {
        let (text, snippet) = (hit.text.as_deref(), hit.snippet.as_ref().map(|snippet| snippet.text.as_str()));
        let expected =
            if hit.id == "3" { (Some("a text beside its embeddings"), Some("a text")) } else { (None, None) };
        assert_eq!((text, snippet), expected, "{}", hit.id);
    }
}

/// Source of 24 passages of two embeddings, both of which are the axis of the passage.
struct Axes {
    dim: usize,
}

impl selvedge::source::Source for Axes {
    fn dim(&self) -> usize {
        self.dim
    }

    fn num_passages(&self) -> usize {
        24
    }

    fn max_doclen(&self) -> usize {
        2
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn fetch(&mut self, pids: &[u32]) -> selvedge::Result<selvedge::Embeddings> {
        let data = pids.iter().flat_map(|&pid| [axis(pid, self.dim), axis(pid, self.dim)].concat()).collect();
        Ok(selvedge::Embeddings { dim: self.dim, data, lens: vec![2; pids.len()], num_truncated: 0 })
    }
}

fn axis(at: u32, dim: usize) -> Vec<f32> {
    (0..dim).map(|d| if d == at as usize { 1.0 } else { 0.0 }).collect()
}

#[test]
fn a_source_of_embeddings_is_indexed_and_added() {
    use selvedge::{AddOptions, Additions, Document, build::from_source};
    let documents = |from: u32, count: u32| -> Option<Box<dyn Iterator<Item = selvedge::Result<Document>>>> {
        let document = |id: u32| Document { id: format!("d{id}"), text: String::new(), metadata: None };
        Some(Box::new((from..from + count).map(move |id| Ok(document(id)))))
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let options = BuildOptions { language: None, ..BuildOptions::default() };
    for count in [23, 25] {
        let error = from_source(&mut Axes { dim: 24 }, documents(0, count), &path, &options, &()).unwrap_err();
        assert!(error.to_string().contains(&format!("documents is {count}: expected one for each passage")), "{error}");
        assert!(!path.exists());
    }
    let error = from_source(&mut Axes { dim: 25 }, None, &path, &options, &()).unwrap_err();
    assert!(error.to_string().contains("dim is 25"), "{error}");
    // A model that made them: its dimension is checked, and documents get words, for queries of text.
    let model = |dim| {
        let made_by = selvedge_index::EncoderInfo {
            model: "a/b".into(),
            fingerprint: String::new(),
            family: "imported".into(),
            dim,
            query_maxlen: 0,
            passage_maxlen: 0,
        };
        BuildOptions { made_by: Some(made_by), ..BuildOptions::default() }
    };
    let error = from_source(&mut Axes { dim: 24 }, documents(0, 24), &path, &model(32), &()).unwrap_err();
    assert!(error.to_string().contains("dim"), "{error}");
    assert!(!path.exists());
    let with_words = dir.path().join("words");
    from_source(&mut Axes { dim: 24 }, documents(0, 24), &with_words, &model(24), &()).unwrap();
    assert!(
        selvedge::Index::open(&with_words, selvedge::Check::Structure).unwrap().manifest().segments[0].words.is_some()
    );
    from_source(&mut Axes { dim: 24 }, None, &path, &options, &()).unwrap();
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    let options = SearchOptions { k: 2, ..SearchOptions::default() };
    let ids = || {
        let hits = engine.search_embeddings(&axis(5, 24), &options).unwrap().hits;
        hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    assert_eq!(ids()[0], "5", "numbered");
    let add = |axes: &mut Axes, documents, replace| {
        let options = AddOptions { replace, ..AddOptions::default() };
        engine.add(Additions::Source(axes, documents), &options, &())
    };
    assert!(add(&mut Axes { dim: 32 }, None, false).unwrap_err().to_string().contains("have dim 32, the index has"));
    assert!(add(&mut Axes { dim: 24 }, None, true).unwrap_err().to_string().contains("give the ids"));
    assert_eq!(add(&mut Axes { dim: 24 }, documents(0, 24), false).unwrap().added, 24);
    assert_eq!(ids(), ["5", "d5"]);
    assert_eq!(add(&mut Axes { dim: 24 }, documents(3, 24), true).unwrap().deleted, 21);
}
