//! A collection in shards against the same collection in one index: the same hits, scores and order, to the last bit.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge::build::{from_documents, from_embedded};
use selvedge::filter::key;
use selvedge::shards::ShardsError;
use selvedge::{
    BuildOptions, CompactOptions, Document, EmbeddedDocument, Engine, Error, Facet, Fusion, Hit, OpenOptions, RankBy,
    SearchOptions, Shards, change,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::ENCODER;

const QUERIES: [&str; 4] = ["selvedge of the loom", "weft weft shuttle", "warp", "nothing of this"];

/// Passages of few words, so that words are shared and many scores are equal.
fn passages() -> Vec<Document> {
    let things = ["warp", "weft", "loom", "selvedge", "shuttle", "heddle"];
    let text = |n: usize| {
        let words = (0..n % 7 + 1).map(|i| things[(n * (i + 3) + i * i) % 6]);
        words.collect::<Vec<_>>().join(" ")
    };
    let metadata = |n: usize| serde_json::json!({ "n": n, "kind": things[n % 4] });
    let passage = |n| Document { id: format!("p{n}"), text: text(n), metadata: Some(metadata(n)) };
    (0..180).map(passage).collect()
}

fn build(path: &Path, passages: &[Document], codec_from: Option<PathBuf>) {
    let options = BuildOptions { codec_from, ..BuildOptions::default() };
    from_documents(passages.iter().cloned().map(Ok), path, &ENCODER, &options, &()).unwrap();
}

fn open(path: &Path) -> Arc<Engine> {
    Arc::new(Engine::open(path, OpenOptions::default()).unwrap())
}

/// One index, and the same passages in shards of the same codec; some passages are deleted in both.
struct Collection {
    dir: tempfile::TempDir,
    passages: Vec<Document>,
    deleted: Vec<String>,
    one: Arc<Engine>,
}

impl Collection {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let passages = passages();
        build(&dir.path().join("one"), &passages, None);
        let one = open(&dir.path().join("one"));
        let deleted: Vec<String> = [3, 50, 51, 52, 120, 179].map(|n| format!("p{n}")).into();
        one.delete(&deleted, false).unwrap();
        Self { dir, passages, deleted, one }
    }

    /// Splits the passages at `cuts`. A range without passages becomes an index whose only passage is deleted.
    fn shards(&self, cuts: &[usize]) -> Shards {
        let ends = [&[0], cuts, &[self.passages.len()]].concat();
        let shard = |(number, ends): (usize, &[usize])| self.shard(&format!("{cuts:?}-{number}"), ends[0]..ends[1]);
        Shards::new(ends.windows(2).enumerate().map(shard).collect()).unwrap()
    }

    fn shard(&self, name: &str, range: Range<usize>) -> Arc<Engine> {
        let path = self.dir.path().join(name);
        let given = Some(self.dir.path().join("one"));
        if range.is_empty() {
            build(&path, &self.passages[..1], given);
            change::delete(&path, &["p0"], false).unwrap();
            change::compact(&path, &CompactOptions::default(), &()).unwrap();
            return open(&path);
        }
        build(&path, &self.passages[range], given);
        let engine = open(&path);
        engine.delete(&self.deleted, true).unwrap();
        engine
    }

    /// Compares the hits and facets of shards with the ones of one index.
    fn compare(&self, shards: &Shards, options: &SearchOptions) {
        let of_batch = shards.search_batch(&QUERIES, options).unwrap();
        for (query, in_batch) in QUERIES.into_iter().zip(of_batch) {
            let (expected, found) = (self.one.search(query, options).unwrap(), shards.search(query, options).unwrap());
            let of_shards = (without_pids(found.hits.iter().map(|hit| &hit.hit)), found.facets);
            let of_one: (Vec<Hit>, Vec<Facet>) = (without_pids(&expected.hits), expected.facets);
            assert_eq!(of_shards, of_one, "{query}, {} shards, {options:?}", shards.engines().len());
            assert_eq!((without_pids(in_batch.hits.iter().map(|hit| &hit.hit)), in_batch.facets), of_one);
        }
    }
}

/// Hits whose pids, which are a shard's own, are left out.
fn without_pids<'a>(hits: impl IntoIterator<Item = &'a Hit>) -> Vec<Hit> {
    hits.into_iter().map(|hit| Hit { pid: 0, ..hit.clone() }).collect()
}

fn all_rankings() -> Vec<RankBy> {
    vec![
        RankBy::MaxSim,
        RankBy::Lexical,
        RankBy::Hybrid(Fusion::ReciprocalRank),
        RankBy::Hybrid(Fusion::Weighted(0.3)),
        RankBy::LexicalFirst(7),
        RankBy::LexicalFirst(1000),
    ]
}

#[test]
fn shards_rank_as_one_index() {
    let collection = Collection::new();
    // An empty shard, one of a single passage, and shards smaller than k.
    let cuts: [&[usize]; 5] = [&[], &[90], &[40, 40, 41], &[10, 50, 90, 91, 120, 150, 170], &[0]];
    let ids: Arc<[String]> = (0..60).map(|n| format!("p{}", n * 3)).chain(["unknown".to_owned()]).collect();
    for cuts in cuts {
        let shards = collection.shards(cuts);
        for rank_by in all_rankings() {
            for k in [1, 10, 150] {
                let options = SearchOptions { k, rank_by, exact: true, ..SearchOptions::default() };
                collection.compare(&shards, &options);
                let filter = Some(Arc::new(key("n").lt(100)));
                collection.compare(&shards, &SearchOptions { filter, ..options.clone() });
                collection.compare(&shards, &SearchOptions { ids: Some(Arc::clone(&ids)), ..options });
            }
        }
    }
}

/// Each ranking is cut to 100 passages of all shards, which more passages than these show.
#[test]
fn long_rankings_are_cut_as_in_one_index() {
    let collection = Collection::new();
    let shards = collection.shards(&[45, 90, 135]);
    let count = |rank_by| {
        let options = SearchOptions { k: 180, rank_by, exact: true, ..SearchOptions::default() };
        collection.one.search(QUERIES[0], &options).unwrap().hits.len()
    };
    assert!(count(RankBy::MaxSim) > 150 && count(RankBy::Lexical) > 110);
    for fusion in [Fusion::ReciprocalRank, Fusion::Weighted(0.5), Fusion::Weighted(0.0), Fusion::Weighted(1.0)] {
        let options =
            SearchOptions { k: 100, rank_by: RankBy::Hybrid(fusion), exact: true, ..SearchOptions::default() };
        collection.compare(&shards, &options);
    }
}

#[test]
fn outputs_come_from_the_shards_that_own_the_hits() {
    let collection = Collection::new();
    let shards = collection.shards(&[40, 100]);
    for rank_by in all_rankings() {
        let options = SearchOptions {
            rank_by,
            exact: true,
            facets: vec!["kind".into(), "n".into(), "unknown".into()],
            facet_depth: 60,
            text: true,
            metadata: true,
            snippet: Some(30),
            explain: true,
            ..SearchOptions::default()
        };
        collection.one.encoder().unwrap();
        shards.search("load the encoder of all", &SearchOptions::default()).unwrap();
        collection.compare(&shards, &options);
    }
    let found = shards.search("selvedge", &SearchOptions { k: 50, exact: true, ..SearchOptions::default() }).unwrap();
    let owners: std::collections::BTreeSet<usize> = found.hits.iter().map(|hit| hit.shard).collect();
    assert_eq!((owners.len(), found.generations), (3, vec![2, 2, 2]));
    for hit in &found.hits {
        assert_eq!(shards.engines()[hit.shard].snapshot().index().id(hit.hit.pid).unwrap(), hit.hit.id);
    }
}

#[test]
fn shards_that_differ_are_refused_by_what_differs() {
    let collection = Collection::new();
    let path = collection.dir.path().join("other");
    build(&path, &collection.passages[..90], None);
    let refused = Shards::new(vec![Arc::clone(&collection.one), open(&path)]).unwrap_err();
    let Error::Shards(ShardsError::Differ { part: "codec", shard: 1, expected, found }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(expected, collection.one.snapshot().identity().codec);
    assert!(found != expected && found.contains("checksum"), "{found}");
    let path = collection.dir.path().join("wordless");
    let options =
        BuildOptions { codec_from: Some(collection.dir.path().join("one")), language: None, ..BuildOptions::default() };
    from_documents(collection.passages.iter().cloned().map(Ok), &path, &ENCODER, &options, &()).unwrap();
    let refused = Shards::new(vec![Arc::clone(&collection.one), open(&path)]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "shard 1 has another language of words than the first one: none, not english; shards are built with one codec \
         and one model (`selvedge index --codec-from`)"
    );
    assert!(matches!(Shards::new(Vec::new()), Err(Error::Shards(ShardsError::None))));
    // A shard that is replaced while it is open.
    let shards = Shards::new(vec![Arc::clone(&collection.one), collection.shard("replaced", 0..90)]).unwrap();
    let retrained = CompactOptions { retrain: change_codec(), ..CompactOptions::default() };
    change::compact(&collection.dir.path().join("replaced"), &retrained, &()).unwrap();
    shards.engines()[1].refresh().unwrap();
    let refused = shards.search("warp", &SearchOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::Shards(ShardsError::Differ { part: "codec", shard: 1, .. })), "{refused:?}");
}

fn change_codec() -> selvedge::Retrain {
    selvedge::Retrain::FromText
}

/// Checks the codec, the bytes that it makes of the same passages, and the drift that it measures.
#[test]
fn an_index_takes_the_codec_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (passages, one, again) = (passages(), dir.path().join("one"), dir.path().join("again"));
    build(&one, &passages, None);
    build(&again, &passages, Some(one.clone()));
    let (one, again) = (open(&one).snapshot(), open(&again).snapshot());
    assert_eq!(one.index().manifest().codec, again.index().manifest().codec);
    let segments = |index: &selvedge::Index| index.manifest().segments.clone();
    assert_eq!(segments(one.index()), segments(again.index()));
    assert_eq!(one.index().manifest().build, again.index().manifest().build);
}

#[test]
fn a_codec_of_another_kind_of_embeddings_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    build(&at("text"), &passages(), None);
    let documents = || planted(1, 20).1.into_iter().map(Ok);
    let options = |codec_from| BuildOptions { codec_from, ..BuildOptions::default() };
    let refused = from_embedded(DIM, documents(), &at("i"), &options(Some(at("text"))), &()).unwrap_err();
    assert!(matches!(refused, Error::Search(selvedge::SearchError::DimMismatch { found: DIM, .. })), "{refused:?}");
    let refused = from_embedded(DIM, documents(), &at("i"), &options(Some(at("nowhere"))), &()).unwrap_err();
    assert!(matches!(refused, Error::Index(selvedge::IndexError::NoIndex { .. })), "{refused:?}");
    assert!(!at("i").exists());
}

const DIM: usize = 32;

fn unit(random: &mut ChaCha8Rng, near: Option<(&[f32], f32)>) -> Vec<f32> {
    let noise: Vec<f32> = (0..DIM).map(|_| random.random_range(-1.0..1.0)).collect();
    let row: Vec<f32> = match near {
        Some((center, spread)) => center.iter().zip(&noise).map(|(c, x)| c + spread * x).collect(),
        None => noise,
    };
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter().map(|x| x / length).collect()
}

/// Queries, and passages of which some are near to each query.
fn planted(queries: usize, passages: usize) -> (Vec<Vec<f32>>, Vec<EmbeddedDocument>) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let queries: Vec<Vec<f32>> = (0..queries).map(|_| (0..8).flat_map(|_| unit(&mut random, None)).collect()).collect();
    let passage = |n: usize| {
        let near = &queries[n % queries.len()];
        let spread = 0.1 + 0.4 * ((n * 7) % 11) as f32 / 11.0;
        let rows = (0..8).flat_map(|token| unit(&mut random, Some((&near[token * DIM..][..DIM], spread))));
        let embeddings = rows.collect();
        let document = Document { id: n.to_string(), text: String::new(), metadata: None };
        EmbeddedDocument { document, embeddings }
    };
    (queries.clone(), (0..passages).map(passage).collect())
}

#[test]
fn an_approximate_search_of_shards_finds_as_much_as_one_index() {
    let dir = tempfile::tempdir().unwrap();
    let (queries, passages) = planted(25, 2000);
    let build = |name: &str, passages: &[EmbeddedDocument], codec_from| {
        let path = dir.path().join(name);
        let options = BuildOptions { codec_from, num_centroids: Some(64), ..BuildOptions::default() };
        from_embedded(DIM, passages.iter().cloned().map(Ok), &path, &options, &()).unwrap();
        open(&path)
    };
    let one = build("one", &passages, None);
    let given = || Some(dir.path().join("one"));
    let exact = SearchOptions { exact: true, ..SearchOptions::default() };
    let (nprobe, ndocs, num_rescored) = (Some(1), Some(20), Some(10));
    let funnel = SearchOptions { nprobe, ndocs, num_rescored, ..SearchOptions::default() };
    let ids = |hits: Vec<Hit>| hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>();
    for count in [2, 4, 8] {
        let shard = |(n, part)| build(&format!("{count}-{n}"), part, given());
        let shards = Shards::new(passages.chunks(2000 / count).enumerate().map(shard).collect()).unwrap();
        let of_shards = |query, options| {
            let found = shards.search_embeddings(query, options).unwrap().hits;
            ids(found.into_iter().map(|hit| hit.hit).collect())
        };
        let mut found = [0, 0];
        for query in &queries {
            let best = ids(one.search_embeddings(query, &exact).unwrap().hits);
            assert_eq!(of_shards(query, &exact), best);
            let of_one = ids(one.search_embeddings(query, &funnel).unwrap().hits);
            for (sum, hits) in found.iter_mut().zip([of_one, of_shards(query, &funnel)]) {
                *sum += hits.iter().filter(|id| best.contains(id)).count();
            }
        }
        // Parameters that miss something, so that there is something to lose.
        assert!(found[0] < 10 * queries.len() && found[0] <= found[1], "{count} shards: {found:?}");
    }
}
