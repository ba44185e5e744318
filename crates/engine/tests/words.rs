//! Words through the library: scores that do not depend on segments, and the definition of a hybrid ranking.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use selvedge::build::from_documents;
use selvedge::change::{self, AddOptions, Additions};
use selvedge::eval::Compared;
use selvedge::filter::key;
use selvedge::queries::QuerySource;
use selvedge::{
    BuildOptions, Document, Engine, Error, EvalOptions, Fusion, OpenOptions, Progress, Qrels, Queries, RankBy,
    SearchOptions, Step,
};
use std::path::Path;
use std::sync::Arc;
use support::ENCODER;

/// Passages about few things, so that words are shared.
fn passages() -> Vec<Document> {
    let things = ["warp", "weft", "loom", "selvedge", "shuttle"];
    let text = |n: usize| {
        let words = (0..n % 7 + 2).map(|i| things[(n * (i + 3) + i * i) % 5]);
        words.collect::<Vec<_>>().join(" ")
    };
    let passage = |n| Document { id: format!("p{n}"), text: text(n), metadata: Some(serde_json::json!({ "n": n })) };
    (0..24).map(passage).collect()
}

fn build(path: &Path, passages: &[Document]) {
    let documents = passages.iter().cloned().map(Ok);
    from_documents(documents, path, &ENCODER, &BuildOptions::default(), &()).unwrap();
}

/// Ids and scores, to the last bit, of a search for words.
fn by_words(engine: &Engine, query: &str, k: usize) -> Vec<(String, u32)> {
    let options = SearchOptions { k, rank_by: RankBy::Lexical, ..SearchOptions::default() };
    let hits = engine.search(query, &options).unwrap().hits;
    hits.into_iter().map(|hit| (hit.id, hit.score.to_bits())).collect()
}

#[test]
fn scores_of_words_do_not_depend_on_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let passages = passages();
    build(&whole, &passages);
    build(&parts, &passages[..5]);
    let engine = Engine::open(&parts, OpenOptions { load_model: true, ..OpenOptions::default() }).unwrap();
    let options = AddOptions { policy: None, ..AddOptions::default() };
    for added in [5..6, 6..15, 15..24] {
        engine.add(Additions::Documents(Box::new(passages[added].iter().cloned().map(Ok))), &options, &()).unwrap();
    }
    assert_eq!(engine.snapshot().index().segments().len(), 4);
    let one = Engine::open(&whole, OpenOptions::default()).unwrap();
    for query in ["warp", "selvedge of the loom", "weft weft shuttle", "nothing of this"] {
        assert_eq!(by_words(&engine, query, 50), by_words(&one, query, 50), "{query}");
    }
    assert!(by_words(&one, "warp", 50).len() > 10);
    change::compact(&parts, &change_all(), &()).unwrap();
    engine.refresh().unwrap();
    assert_eq!(engine.snapshot().index().segments().len(), 1);
    assert_eq!(by_words(&engine, "weft weft shuttle", 50), by_words(&one, "weft weft shuttle", 50));
}

fn change_all() -> selvedge::CompactOptions {
    selvedge::CompactOptions::default()
}

/// Words of an index that an earlier build made are still read. Its passages are 4, one of them deleted; "tea" is in
/// two, "cup" and "the" in one each; they have 4 words, that of the spoon 6.
#[test]
fn frozen_words_are_read() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../index/tests/frozen/v4-words");
    let engine = Engine::open(&frozen, OpenOptions::default()).unwrap();
    let options = SearchOptions { rank_by: RankBy::Lexical, ..SearchOptions::default() };
    let hits = engine.search("the tea cup", &options).unwrap().hits;
    let bm25 = |df: f32, length: f32| {
        let idf = (1.0 + (4.0 - df + 0.5) / (df + 0.5)).ln();
        idf * 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * length / 4.5))
    };
    let expected = [("cup of tea", bm25(2.0, 4.0) + bm25(1.0, 4.0)), ("spoon", bm25(2.0, 6.0) + bm25(1.0, 6.0))];
    assert_eq!(hits.len(), expected.len());
    for (hit, (id, score)) in hits.iter().zip(expected) {
        assert!(hit.id == id && (hit.score - score).abs() < 1e-5, "{hit:?}, not {id} with {score}");
    }
}

/// Both scores of each passage that either ranking has, fused.
#[test]
fn a_hybrid_ranking_is_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    build(&path, &passages());
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    let query = "the selvedge of a loom";
    let all = SearchOptions { k: 24, exact: true, ..SearchOptions::default() };
    let ranked = |rank_by| engine.search(query, &SearchOptions { rank_by, ..all.clone() }).unwrap().hits;
    let (maxsim, words) = (ranked(RankBy::MaxSim), ranked(RankBy::Lexical));
    assert!(maxsim.len() == 24 && words.len() < 24, "{} {}", maxsim.len(), words.len());
    let rank = |hits: &[selvedge::Hit], id: &str| hits.iter().position(|hit| hit.id == id);
    for hit in ranked(RankBy::Hybrid(Fusion::ReciprocalRank)) {
        let ranks = [rank(&maxsim, &hit.id), rank(&words, &hit.id)];
        let expected: f32 = ranks.iter().flatten().map(|&rank| 1.0 / (61.0 + rank as f32)).sum();
        assert!((hit.score - expected).abs() < 1e-6, "{}: {} {expected}", hit.id, hit.score);
    }
    let scaled = |hits: &[selvedge::Hit], id: &str| {
        let (most, least) = (hits[0].score, hits[hits.len() - 1].score);
        rank(hits, id).map_or(0.0, |rank| (hits[rank].score - least) / (most - least))
    };
    for hit in ranked(RankBy::Hybrid(Fusion::Weighted(0.3))) {
        let expected = 0.3 * scaled(&maxsim, &hit.id) + 0.7 * scaled(&words, &hit.id);
        assert!((hit.score - expected).abs() < 1e-5, "{}: {} {expected}", hit.id, hit.score);
    }
    let first = ranked(RankBy::LexicalFirst(50));
    let expected: Vec<&selvedge::Hit> = maxsim.iter().filter(|hit| rank(&words, &hit.id).is_some()).collect();
    assert_eq!(first.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn words_are_restricted_and_refused_as_embeddings_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    build(&path, &passages());
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    let filter = Some(Arc::new(key("n").lt(4)));
    for rank_by in [RankBy::Lexical, RankBy::Hybrid(Fusion::ReciprocalRank), RankBy::LexicalFirst(50)] {
        let options = SearchOptions { rank_by, filter: filter.clone(), ..SearchOptions::default() };
        let hits = engine.search("warp weft loom selvedge shuttle", &options).unwrap().hits;
        assert_eq!(hits.len(), 4, "{rank_by:?}");
        let embedded = engine.search_embeddings(&[0.0; 128], &options);
        assert!(matches!(embedded, Err(Error::NoQueryTexts)), "{embedded:?}");
    }
    let alpha = SearchOptions { rank_by: RankBy::Hybrid(Fusion::Weighted(f32::NAN)), ..SearchOptions::default() };
    assert!(matches!(engine.search("warp", &alpha), Err(Error::BadOption { option: "alpha", .. })));
}

/// Before the first search, rather than after the last.
#[test]
fn an_eval_refuses_what_it_cannot_measure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("i");
    let options = BuildOptions { language: None, ..BuildOptions::default() };
    from_documents(passages().into_iter().map(Ok), &path, &ENCODER, &options, &()).unwrap();
    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    let source = QuerySource::Texts(vec!["warp".to_owned()]);
    let judged = dir.path().join("qrels");
    std::fs::write(&judged, "1\tp1\t1\n").unwrap();
    let qrels = Qrels::read(&judged).unwrap();
    let eval = |queries: &Queries, options| engine.eval(queries, &qrels, &options, &Refusing).unwrap_err();
    let queries = engine.queries(&source).unwrap();
    let words = EvalOptions { compare: vec![Compared::Lexical], ..EvalOptions::default() };
    assert!(matches!(eval(&queries, words.clone()), Error::NoWords { .. }));
    let fusion = Fusion::Weighted(2.0);
    assert!(matches!(eval(&queries, EvalOptions { fusion, ..words }), Error::BadOption { option: "alpha", .. }));
    let search = SearchOptions { rank_by: RankBy::Lexical, ..SearchOptions::default() };
    let lexical = EvalOptions { search: search.clone(), ..EvalOptions::default() };
    assert!(matches!(eval(&queries, lexical), Error::BadOption { option: "rank_by", .. }));
    // Queries that were read for a search by words alone find something by words alone.
    let queries = engine.queries_for(&source, RankBy::Lexical).unwrap();
    assert!(matches!(eval(&queries, EvalOptions::default()), Error::NoQueryEmbeddings));
    let maxsim = engine.search_queries(&queries, &SearchOptions::default());
    assert!(matches!(maxsim, Err(Error::NoQueryEmbeddings)));
    assert!(matches!(engine.search_queries(&queries, &search), Err(Error::NoWords { .. })));
}

/// Progress of work that must not begin.
struct Refusing;

impl Progress for Refusing {
    fn report(&self, step: Step) {
        panic!("{} has begun", step.stage)
    }
}
